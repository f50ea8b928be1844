"""Coverage of the PGR against fixed baselines; prints the table of docs/STATISTICS.md.

    python -m benchmarks.fixed [--trials 4000]        # a minute on one core

Runs are normal: the supervisor at .6, the ceiling at .8, the student in between. Each role has runs of its own.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from w2s_sweep.metrics.fixed import Runs, difference, recover_fixed

PGRS = (0.0, 0.5, 1.0)
SEEDS = ((2, 5, 5), (3, 5, 5), (5, 5, 5), (2, 20, 20), (5, 3, 3), (5, 2, 2))
"""Of student, supervisor and ceiling."""
SPREADS = ((0.01, 0.01, 0.01), (0.02, 0.01, 0.01), (0.01, 0.02, 0.01))


def cover(seeds: tuple[int, ...], spreads: tuple[float, ...], pgr: float, trials: int) -> tuple[float, float, float]:
    """(share of intervals of the PGR that hold it, their median width, the same share of the gain's)."""
    rng, means = np.random.default_rng(0), (0.6 + 0.2 * pgr, 0.6, 0.8)
    held, gains, widths = list[bool](), list[bool](), list[float]()
    for _ in range(trials):
        roles = zip(means, spreads, seeds, strict=True)
        student, weak, ceiling = (Runs.of((m + s * rng.standard_normal(n)).tolist()) for m, s, n in roles)
        found, gain = recover_fixed(student, weak, ceiling).pgr, difference(student, weak).interval
        assert gain.low is not None
        assert gain.high is not None
        gains.append(gain.low <= 0.2 * pgr <= gain.high)
        if found.low is not None and found.high is not None:
            held.append(found.low <= pgr <= found.high)
            widths.append(found.high - found.low)
    return float(np.mean(held)), float(np.median(widths)), float(np.mean(gains))


def lines(trials: int) -> Iterator[str]:
    yield "| seeds of student, weak, ceiling | runs vary by | PGR 0 | PGR .5 | PGR 1 | width at .5 | gain at .5 |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for spreads in SPREADS:
        for seeds in SEEDS:
            found = [cover(seeds, spreads, pgr, trials) for pgr in PGRS]
            numbers = [*(f"{one[0]:.3f}" for one in found), f"{found[1][1]:.2f}", f"{found[1][2]:.3f}"]
            about = [", ".join(map(str, seeds)), ", ".join(f"{one:.2f}".lstrip("0") for one in spreads)]
            yield f"| {' | '.join([*about, *(number.removeprefix('0') for number in numbers)])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    for line in lines(parser.parse_args().trials):
        print(line, flush=True)


if __name__ == "__main__":
    main()
