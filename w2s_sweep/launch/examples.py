"""The rows of a task as a model sees them: `w2s data TASK`."""
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from w2s_sweep.cells.cell import Cell
from w2s_sweep.cells.parse import parse
from w2s_sweep.data.shape import class_names, has_pairs, has_targets, prompt_words
from w2s_sweep.kinds.data import Data
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.one import compose_one
from w2s_sweep.plan.builder import Builder
from w2s_sweep.sources import fetch, identify


def composed_cell(overrides: Sequence[str]) -> tuple[Cell, list[str]]:
    """The cell that `launch.py OVERRIDES` would run, and what `data_root` decided about its dataset."""
    with compose_one(overrides) as config:
        (cell,), sweep = parse([plain_cell(config)])
    from w2s_sweep.cells.own_splits import with_own_splits
    from w2s_sweep.cells.root import from_root

    (cell,), notes = ([cell], []) if sweep.data_root is None else from_root([cell], sweep.data_root)
    (cell,), more = with_own_splits([cell])
    return cell, [*notes, *more]


def describe_task(
    overrides: Sequence[str], samples: int, with_tokens: bool, width: int, out: Path | None = None
) -> str:
    """Counts, lengths, leak scan and some examples of the dataset that the overrides name.

    `with_tokens` loads the tokenizer of the strong model, for lengths in tokens, the share that is cut, and what is
    left of the examples shown. `width`: characters shown of a text; 0 is all. `out`: where id, split and texts of all
    examples are written, for somebody to label them.
    """
    from w2s_sweep.data.examples import build_examples, easy_up_to
    from w2s_sweep.data.show import Reader, describe
    from w2s_sweep.data.split import assign

    cell, notes = composed_cell(["finetune=full", *overrides])  # which has examples of every kind
    build = Builder(cell, identify)
    settings = build.stages[build.data()].settings
    assert isinstance(settings, Data)
    left_out = Counter[str]()
    path = fetch(cell.dataset.source, settings.source, "dataset")
    settings = replace(settings, difficulty_threshold=easy_up_to(settings, path))
    examples = build_examples(settings, path, left_out)
    parts = assign(examples, cell.dataset.split(cell.seed))
    if out is not None:
        write_unlabelled(out, examples, list(parts))
    reader = Reader(cell.strong.name, _tokenizer(cell), cell.dataset.max_tokens) if with_tokens else None
    names = class_names(cell.dataset)
    text = describe(examples, list(parts), reader, samples=samples, width=width, names=names)
    head = [*notes, f"{cell.dataset.name}: task {cell.dataset.task}"]
    if not has_targets(cell.dataset):
        prompt = cell.dataset.prompt
        words = prompt_words(cell.dataset, cell.strong)
        about = repr(prompt.pair) if has_pairs(cell.dataset) else "TEXT"
        head.append(f"methods that prompt ask: {prompt.instruction!r}, {about}, {prompt.question!r}, answers {words}")
    if (easy := settings.difficulty_threshold) is not None:
        head.append(f"{settings.difficulty} up to {easy:g}: halves and validation; above: test")
    head += [f"left out: {count:,} {reason}" for reason, count in left_out.items() if count]
    return "\n".join([*head, text])


def _tokenizer(cell: Cell):
    """The tokenizer of the strong model; its weights are not loaded."""
    from transformers import AutoTokenizer

    path: Path = fetch(cell.strong.source, identify(cell.strong.source, "model"), "model")
    if path.suffix == ".gguf":
        from w2s_sweep.models.gguf import convert

        path = convert(path)
    return AutoTokenizer.from_pretrained(path)


def write_unlabelled(path: Path, examples: Any, parts: Sequence[str]) -> None:
    """Write id, split and texts of the examples as JSONL: what whoever labels them needs, and no truth."""
    names = [name for name in ("id", "text", "text_other") if name in examples.column_names]
    rows = examples.select(names).to_pylist()
    lines = [json.dumps({"split": str(part)} | row, ensure_ascii=False) for row, part in zip(rows, parts, strict=True)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
