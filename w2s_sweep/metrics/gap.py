"""Performance gap recovered. An undefined PGR is never a number: it carries its reason and enters no mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import PerResample


@dataclass(frozen=True)
class Pgr:
    """A PGR, or why there is none; exactly one of the two is set."""

    value: float | None
    """0: the student is as good as its supervisor; 1: as good as the ceiling. Not bounded on either side."""
    reason: str | None = None


def pgr(weak: float | None, student: float | None, ceiling: float | None) -> Pgr:
    """(student - weak) / (ceiling - weak) of one metric on one test set; undefined unless ceiling > weak."""
    if weak is None or student is None or ceiling is None:
        scores = {"weak": weak, "student": student, "ceiling": ceiling}
        absent = ", ".join(role for role, score in scores.items() if score is None)
        return Pgr(None, f"the metric of {absent} is undefined")
    if not ceiling > weak:
        return Pgr(None, f"the ceiling is not better than the weak supervisor: {ceiling:.4f} against {weak:.4f}")
    return Pgr((student - weak) / (ceiling - weak))


def cause(reason: str) -> str:
    """A reason without its numbers, so that equal causes can be counted."""
    return reason.partition(":")[0]


def pgr_samples(weak: PerResample, student: PerResample, ceiling: PerResample) -> PerResample:
    """PGR of each resample; NaN where the ceiling is not better than weak."""
    room = ceiling - weak
    return np.divide(student - weak, room, out=np.full(len(room), np.nan), where=room > 0)
