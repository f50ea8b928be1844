"""What an interval of a PGR must hold, in a simulation; prints the tables of docs/STATISTICS.md.

    python -m benchmarks.pgr [--trials 600]        # a few minutes on one core

An imaginary experiment: the supervisor is right for .75, the ceiling is better by the gap, the student recovers half
(where there is no gap the student is at .78). An example is as hard for all models (60 % of the variance), harder for
one of them in all of its seeds (25 %), or in one run (15 %); a run's accuracy varies by one point (that of the ceiling
by .7, and half of the student's follows its supervisor's). "fixed": all seeds share one test set. "dealt": each draws
its own from a pool of four times the size. Examples of one group are hard together for a model.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from w2s_sweep.metrics import Design, crossed_p, recover

SEEDS = (1, 3, 5)
GAPS = (0.02, 0.05, 0.10)
RUN = np.array([[1, 0, 0], [0.5, 0.75**0.5, 0], [0, 0, 0.7]]) * 0.01
"""How much weak, student and ceiling of a seed are better or worse than others, of three independent draws."""


@dataclass(frozen=True)
class Setting:
    """An imaginary experiment."""

    dealt: bool = False
    rows: int = 500
    """Test examples of a seed."""
    size: int = 1
    """Examples of a group."""
    together: float = 0.05
    """Share of an example's difficulty that its group shares, for one model."""

    def __str__(self) -> str:
        kind = "dealt" if self.dealt else "fixed"
        return f"{kind}, {self.rows:,} rows" + (f", groups of {self.size}" if self.size > 1 else "")


SETTINGS = (
    Setting(), Setting(rows=2000), Setting(dealt=True), Setting(dealt=True, rows=2000),
    Setting(rows=1000, size=40), Setting(rows=2000, size=40), Setting(rows=1000, size=2),
)  # fmt: skip


def draw(rng: np.random.Generator, s: Setting, seeds: int, accuracy: NDArray[np.float64]) -> tuple[Design, NDArray]:
    """(design, [rows, 3] whether weak, student and ceiling are right) of one experiment."""
    pool = 4 * s.rows if s.dealt else s.rows
    easy, own = rng.normal(size=pool), rng.normal(size=(3, pool))
    if s.size > 1:
        share = s.together / 0.25
        own = share**0.5 * rng.normal(size=(3, pool // s.size)).repeat(s.size, 1) + (1 - share) ** 0.5 * own
    right, groups = [], []
    for _ in range(seeds):
        chosen = rng.choice(pool, s.rows, replace=False) if s.dealt else np.arange(s.rows)
        score = 0.6**0.5 * easy[chosen] + 0.5 * own[:, chosen] + 0.15**0.5 * rng.normal(size=(3, s.rows))
        right.append(score < ndtri(accuracy + RUN @ rng.normal(size=3))[:, None])
        groups.append(chosen // s.size)
    _, codes = np.unique(np.concatenate(groups), return_inverse=True)
    design = Design(np.repeat(np.arange(seeds), s.rows), codes.reshape(-1))
    return design, np.concatenate(right, axis=1).T.astype(np.float64)


@dataclass(frozen=True)
class Held:
    """What was seen in many experiments of one setting."""

    identified: float
    """Share with an interval of the PGR."""
    covered: float
    """Share whose interval holds the true PGR, or which have none."""
    gap_covered: float
    """Share whose interval of the gap holds the true one."""
    width: float
    """Median width of the intervals; NaN without any."""


def simulate(setting: Setting, seeds: int, gap: float, trials: int, seed: int = 5) -> Held:
    """Many experiments of a setting; the true PGR is .5, and none where the gap is 0."""
    rng = np.random.default_rng(seed)
    accuracy = np.array([0.75, 0.75 + gap / 2 if gap else 0.78, 0.75 + gap])
    ends, gaps = [], 0
    for _ in range(trials):
        design, right = draw(rng, setting, seeds, accuracy)
        found = recover(design.moments(right[:, 1:] - right[:, :1]))
        gaps += found.gap.low <= gap <= found.gap.high
        if not found.reason:
            ends.append((found.pgr.low, found.pgr.high))
    missed = sum(not low <= 0.5 <= high for low, high in ends)
    width = float(np.median([high - low for low, high in ends])) if ends else float("nan")
    return Held(len(ends) / trials, 1 - missed / trials, gaps / trials, width)


def false_differences(setting: Setting, seeds: int, trials: int, seed: int = 6) -> float:
    """Share of the experiments in which two equal students differ with p <= .05. Their runs are as unlike as above."""
    rng, found = np.random.default_rng(seed), 0
    for _ in range(trials):
        design, right = draw(rng, setting, seeds, np.full(3, 0.8))
        p = crossed_p(design.moments(right[:, 1:2] - right[:, :1]))
        found += p is not None and p <= 0.05
    return found / trials


def percentage(value: float) -> str:
    return f"{value:.3f}".lstrip("0") if value < 1 else "1"


def tables(trials: int) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| no gap: an interval is printed | " + " | ".join(_seeds(n) for n in SEEDS) + " |"
    yield "| --- |" + " ---: |" * len(SEEDS)
    for s in SETTINGS:
        cells = [percentage(simulate(s, n, 0.0, trials).identified) for n in SEEDS]
        yield f"| {s} | {' | '.join(cells)} |"
    yield ""
    yield (
        "| coverage (not identified) at a gap of | "
        + " | ".join(f"{g:.2f}, {_seeds(n)}" for n in SEEDS for g in GAPS)
        + " |"
    )
    yield "| --- |" + " ---: |" * len(SEEDS) * len(GAPS)
    for s in SETTINGS:
        found = [simulate(s, n, g, trials) for n in SEEDS for g in GAPS]
        yield (
            f"| {s} | " + " | ".join(f"{percentage(h.covered)} ({percentage(1 - h.identified)})" for h in found) + " |"
        )
    yield ""
    yield "| equal students: p <= .05 | " + " | ".join(_seeds(n) for n in SEEDS) + " |"
    yield "| --- |" + " ---: |" * len(SEEDS)
    for s in SETTINGS:
        yield f"| {s} | {' | '.join(percentage(false_differences(s, n, trials)) for n in SEEDS)} |"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=600)
    for line in tables(parser.parse_args().trials):
        print(line, flush=True)
