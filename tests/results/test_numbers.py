"""What is computed together, for speed, is what each number is by itself; a sweep's numbers stay what they were."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.metrics import Design, Interval, crossed_interval, crossed_intervals
from w2s_sweep.metrics.auroc import Auroc, auroc
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results

GOLDEN = Path(__file__).parent / "golden_numbers.json"
"""Of a small sweep, as they were when each was computed by itself."""


def numbers(results: Results) -> dict[str, object]:
    """Every number of the last group, of its comparisons, and of two points of its curves."""
    group, points = results.groups[-1], [p for p in results.curves if p.group == results.groups[-1].group]
    found = {"group": asdict(group), "row": asdict(results.rows[-1]), "steps": [asdict(s) for s in results.steps[3]]}
    found |= {f"{p.role} {p.evaluation}": asdict(p) for p in points if p.evaluation == 2}
    found["comparison"] = asdict(results.comparisons[-1])
    return json.loads(json.dumps(found))


def same(found: object, golden: object, place: str = "") -> None:
    """Equal but for the last digits, which depend on the processor."""
    if isinstance(golden, dict):
        assert isinstance(found, dict)
        assert found.keys() == golden.keys(), place
        for name in golden:
            same(found[name], golden[name], f"{place}/{name}")
    elif isinstance(golden, list):
        assert isinstance(found, list)
        assert len(found) == len(golden), place
        for i, (one, other) in enumerate(zip(found, golden, strict=True)):
            same(one, other, f"{place}/{i}")
    elif isinstance(golden, float):
        assert found == pytest.approx(golden, rel=1e-9, abs=1e-11), place
    else:
        assert found == golden, place


def test_all_numbers_of_a_small_sweep_are_what_they_were(tmp_path):
    curve = ((0.5, 0.5, 0.5), (0.6, 0.75, 0.8))
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1), n_test=120, share=(0.3, 0.38, 0.45), curve=curve)
    same(numbers(collect(build(tmp_path, shape), NAME)), json.loads(GOLDEN.read_text()))


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("sharing", [1, 4])
def test_intervals_of_columns_together_are_those_of_each_by_itself(seeds, sharing):
    random = np.random.default_rng(seeds)
    names = [np.arange(40) // sharing] * seeds
    moments = Design.of(names).moments(random.normal(0.5, 0.2, (40 * seeds, 5)))
    alone = [crossed_interval(moments.only(place), (0.4, 0.6)) for place in range(5)]
    spread = moments.singles()
    assert crossed_intervals(spread, [(0.4, 0.6)] * 5) == alone
    for place, found in enumerate(zip(spread.mean, spread.variance, spread.freedom, strict=True)):
        one = moments.only(place)
        assert found == (one.mean[0], one.covariance[0, 0], one.freedom)
    (lonely,) = crossed_intervals(Design.of([np.zeros(9)]).spread(np.arange(9.0)[None]), [(0.0, 9.0)])
    assert lonely == Interval(4.0)


@pytest.mark.parametrize("ties", [False, True])
def test_placements_have_the_auroc_by_ranks_as_their_mean(ties):
    random = np.random.default_rng(1)
    right = random.random(200).round(1 if ties else 9)
    probs, truth = np.stack([1 - right, right], 1), random.integers(0, 2, 200)
    scores = Auroc().scores(probs, truth)
    assert scores is not None
    assert scores.mean() == pytest.approx(auroc(probs, truth), rel=1e-12)
