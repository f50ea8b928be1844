"""Learning curves as small inline SVGs, straight from the metrics.jsonl of the stage folders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from w2s_sweep.kinds import TRAINED
from w2s_sweep.store import Store, read_jsonl

MOST = 60
"""Curves are drawn where a sweep has at most so many trained stages."""
WIDTH, HEIGHT, PAD = 220.0, 64.0, 4.0


@dataclass(frozen=True)
class Curve:
    """The training loss of one stage, and its score on validation rows where it stopped early."""

    key: str
    label: str
    role: str
    points: str
    """`x,y x,y ...` in a box of WIDTH x HEIGHT."""
    steps: int
    first: float
    last: float
    validation: str = ""
    """Like `points`, on a scale of its own; empty where nothing was evaluated."""
    best: float | None = None
    """The highest validation score: of the parameters that were kept."""


def learning_curves(store: Store, stages: Mapping[str, Any]) -> list[Curve]:
    """The curves of all trained stages of a sweep; none where there are more than `MOST`."""
    trained = {key: about for key, about in stages.items() if about["kind"] in TRAINED}
    if count_trained(stages) > MOST:
        return []
    found = (_curve(store, key, about) for key, about in trained.items())
    return sorted((curve for curve in found if curve is not None), key=lambda curve: (curve.role, curve.label))


def count_trained(stages: Mapping[str, Any]) -> int:
    return sum(about["kind"] in TRAINED for about in stages.values())


def _curve(store: Store, key: str, about: Mapping[str, Any]) -> Curve | None:
    if store.path(key).is_dir() and store.damage(key, "metrics.jsonl"):
        return None
    rows = read_jsonl(store.path(key) / "metrics.jsonl")
    points, scores = _points(rows, "loss"), _points(rows, "validation")
    if len(points) < 2:
        return None
    known = Curve(key, about["label"], about["role"], polyline(points), points[-1][0], points[0][1], points[-1][1])
    if not scores:
        return known
    span = points[0][0], points[-1][0]
    return replace(known, validation=polyline(scores, span=span), best=max(score for _, score in scores))


def _points(rows: Iterable[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """(step, value) of the rows that have a finite number under `name`."""
    found = ((row.get("step"), row.get(name)) for row in rows)
    return [(s, float(v)) for s, v in found if isinstance(s, int) and isinstance(v, int | float) and isfinite(v)]


def polyline(points: Sequence[tuple[int, float]], most: int = 150, span: tuple[int, int] | None = None) -> str:
    """(step, value) pairs scaled to the box, at most `most` of them; `span`: the steps at its edges."""
    drawn = points[:: max(1, -(-len(points) // most))]
    drawn = drawn if drawn[-1] == points[-1] else [*drawn, points[-1]]
    low, high = min(y for _, y in drawn), max(y for _, y in drawn)
    first, last = span or (drawn[0][0], drawn[-1][0])
    across, up = (WIDTH - 2 * PAD) / max(1, last - first), (HEIGHT - 2 * PAD) / ((high - low) or 1.0)
    return " ".join(f"{PAD + (x - first) * across:.1f},{HEIGHT - PAD - (y - low) * up:.1f}" for x, y in drawn)
