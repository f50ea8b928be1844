"""Performance gap recovered. An undefined PGR is never a number: it carries its reason and enters no mean."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median


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


@dataclass(frozen=True)
class Summary:
    """PGRs of several cells; mean and median are over the defined ones, None where there is none."""

    mean: float | None
    median: float | None
    defined: int
    undefined: int
    """Cells left out of `mean` and `median`."""
    reasons: Mapping[str, int]
    """Cause -> number of cells left out for it."""


def summarise(cells: Iterable[Pgr]) -> Summary:
    """Mean and median of what is defined, and a count of what was left out."""
    values: list[float] = []
    reasons: Counter[str] = Counter()
    for cell in cells:
        if cell.value is None:
            reasons[cause(cell.reason or "no reason given")] += 1
        else:
            values.append(cell.value)
    return Summary(
        mean=fmean(values) if values else None,
        median=median(values) if values else None,
        defined=len(values),
        undefined=reasons.total(),
        reasons=dict(reasons),
    )
