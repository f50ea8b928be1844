"""The curves of a trained stage as rows that are only ever added to, so that a mirror sends each of them once.

Services cannot change a row that they have. First come those of metrics.jsonl, which the stage wrote itself and which
are the same in every sweep; then what is known once the stages that a student is compared with are finished.
"""

from collections.abc import Mapping
from typing import Any

from w2s_sweep.store import read_jsonl
from w2s_sweep.tracking.base import TrainedStage

NOT_LOGGED = frozenset({"step", "total"})
EVALUATION = "eval"
"""Before the names of all that is measured on test rows; `curve` in metrics.jsonl."""

Line = tuple[int, Mapping[str, Any]]
"""(optimizer step, name -> value)"""


def history(stage: TrainedStage) -> list[Line]:
    """All rows of a stage, in the order in which they are sent."""
    return [*map(_line, read_jsonl(stage.folder / "metrics.jsonl")), *stage.curve]


def _line(row: Mapping[str, Any]) -> Line:
    return int(row["step"]), {_name(name): value for name, value in row.items() if name not in NOT_LOGGED}


def _name(name: str) -> str:
    room, slash, rest = name.partition("/")
    return f"{EVALUATION}/{rest}" if slash and room == "curve" else name
