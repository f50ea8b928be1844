"""What a stage writes row by row, kept in its work folder: one that is stopped goes on from there."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from w2s_sweep.errors import Preempted
from w2s_sweep.kinds.base import Json
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner.context import Context
from w2s_sweep.store.files import write_text

KEPT = "kept.json"


def answer_in_chunks(
    context: Context[Any],
    names: Mapping[int, str],
    length: Callable[[int], int],
    answer: Callable[[Sequence[int], Callable[[int], None]], Sequence[Json]],
    chunk: int,
) -> dict[int, Json]:
    """Row -> what `answer` gives for it, for the rows of `names`; what an earlier run has kept is not asked for again.

    What is given for a row must be plain JSON and depend on its row alone; None where `answer` left before it was done,
    because the stage was asked to stop. `answer` also gets what is to be told how many it has done.
    `names`: what rows are called in all runs; `length`: by which those that are answered together are alike; `chunk`:
    rows between two looks at whether to save or to leave. Raises Preempted where the stage is asked to stop.
    """
    path = context.work / KEPT
    kept: dict[str, Json] = json.loads(path.read_text()) if path.is_file() else {}
    found = {row: kept[name] for row, name in names.items() if name in kept}
    if found:
        context.on_continue()

    def count(done: int) -> None:
        context.progress(len(found) + done, len(names))

    left = sorted(set(names) - set(found), key=lambda row: -length(row))
    for start in range(0, len(left), chunk):
        part = left[start : start + chunk]
        found |= {row: one for row, one in zip(part, answer(part, count), strict=True) if one is not None}
        context.progress(len(found), len(names))
        leave = context.stop()
        if (leave or context.checkpoint_due()) and this_process().leads:
            write_text(path, json.dumps({names[row]: one for row, one in found.items()}))
        if leave:
            raise Preempted
    return found
