"""What every metric of a PGR must do, what a new one gets for nothing, and one from a module outside the package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.arrays import Array
from w2s_sweep.errors import ConfigError
from w2s_sweep.metrics import FURTHER, METRICS, Design, Metric, OfMeans, OfRole, RolePredictions, crossed_p

OF_PROBABILITIES = {name: metric for name, metric in METRICS.items() if not metric.reads_groups}
each_metric = pytest.mark.parametrize("metric", OF_PROBABILITIES.values(), ids=list(OF_PROBABILITIES))


def predict(skill: float, truth: Array, seed: int, classes: int = 2) -> Array:
    logits = np.random.default_rng(seed).normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += skill
    probs = np.exp(logits)
    return (probs / probs.sum(1, keepdims=True)).astype(np.float32)


TRUTH = np.random.default_rng(0).integers(0, 2, 120).astype(np.int8)
POOR, GOOD = predict(0.3, TRUTH, 1), predict(2.0, TRUTH, 2)


@each_metric
def test_a_metric_has_its_name_its_texts_and_is_within_its_bounds(metric: Metric):
    assert METRICS[metric.name] is metric
    assert all([metric.label, metric.about])
    low, high = metric.bounds
    values = [metric.chance(2), metric.value(POOR, TRUTH), metric.value(GOOD, TRUTH)]
    assert all(low <= value <= high for value in values)
    assert values[2] > values[1]
    assert metric.value(POOR[:0], TRUTH[:0]) is None


@each_metric
@pytest.mark.parametrize("classes", [2, 4])
def test_guessing_is_at_chance(metric: Metric, classes: int):
    truth = np.random.default_rng(1).integers(0, classes, 4000).astype(np.int8)
    guesses = np.full((len(truth), classes), 1 / classes, dtype=np.float32)
    assert metric.value(guesses, truth) == pytest.approx(metric.chance(classes), abs=0.03)


@each_metric
def test_what_examples_add_has_the_metric_as_its_mean_and_the_spread_of_the_jackknife(metric: Metric):
    own, jackknife = metric.scores(POOR, TRUTH), Metric.scores(metric, POOR, TRUTH)
    assert own is not None
    assert jackknife is not None
    assert own.mean() == pytest.approx(metric.value(POOR, TRUTH))
    assert jackknife.mean() == pytest.approx(metric.value(POOR, TRUTH))
    np.testing.assert_allclose(own, jackknife, rtol=0.05, atol=0.05)
    assert metric.scores(POOR[:0], TRUTH[:0]) is None


@each_metric
def test_a_paired_difference_is_told_from_none(metric: Metric):
    def p_value(second: Array) -> float | None:
        change = metric.scores(second, TRUTH) - metric.scores(POOR, TRUTH)
        return crossed_p(Design.of([np.arange(len(TRUTH))]).moments(change[:, None]))

    assert p_value(POOR) == 1
    assert p_value(predict(0.3, TRUTH, 5)) > 0.05
    assert p_value(GOOD) < 1e-3


def test_every_further_metric_is_the_mean_of_what_examples_add_and_has_the_spread_of_the_bootstrap():
    roles = {
        role: RolePredictions(probs=predict(skill, TRUTH, seed), truth=TRUTH)
        for seed, (role, skill) in enumerate({"weak": 0.5, "student": 1.0, "ceiling": 2.0, "reference": 1.2}.items())
    }
    found: dict[str, OfMeans] = {}
    for name, metric in FURTHER.items():
        one = metric.measure(roles["student"]) if isinstance(metric, OfRole) else metric.measure(roles)
        found |= {name: one} if isinstance(one, OfMeans) else one or {}
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(TRUTH), np.full(len(TRUTH), 1 / len(TRUTH)), size=2000).T / len(TRUTH)
    for name, one in found.items():
        added = one.scores()
        assert added is not None, name
        assert added.mean() == pytest.approx(one.value), name
        spread = np.nanstd(one.of(one.terms.astype(float).T @ drawn))
        assert added.std() / len(TRUTH) ** 0.5 == pytest.approx(spread, rel=0.25 if name == "ece" else 0.12), name


def test_further_metrics_of_a_role_are_told_by_name_and_every_column_has_one_metric():
    columns = [name for _, metric in FURTHER.items() for name in metric.columns]
    assert len(columns) == len(set(columns))
    for name, metric in FURTHER.items():
        assert name == metric.name
        assert all([metric.title, metric.about, metric.columns])
        if isinstance(metric, OfRole):
            assert list(metric.columns) == [f"{name}/{role}" for role in ("weak", "student", "ceiling")]


def test_an_unknown_metric_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        METRICS["acuracy"]


OWN = """
import numpy as np
from w2s_sweep.metrics import FURTHER, METRICS, Metric, OfMeans, OfRole, RolePredictions, mean


class LogLikelihood(Metric):
    name = "own_likelihood"
    label = "own likelihood"
    about = "mean logarithm of the probability of the true class"
    bounds = (-np.inf, 0.0)

    def value(self, probs, truth):
        return float(np.log(probs[np.arange(len(truth)), truth]).mean()) if len(truth) else None

    def chance(self, classes):
        return -float(np.log(classes))


class Confidence(OfRole):
    name = "own_confidence"
    title = "own confidence"
    about = "mean probability of the most likely class"

    def measure(self, role: RolePredictions) -> OfMeans:
        return mean(role.probs.max(1))


METRICS.register(LogLikelihood.name, LogLikelihood())
FURTHER.register(Confidence.name, Confidence())
"""
REPORT = """
import json, sys
from pathlib import Path
import own_metrics
from w2s_sweep.results.collect import collect
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store

store = Store(Path(sys.argv[1]))
results = collect(store, sys.argv[2])
written = write_results(store, results, Path(sys.argv[3]))
row = results.rows[0]
print(json.dumps({"pgr": row.pgr.value, "low": row.pgr.low, "student": row.student.value,
                  "chance": results.groups[0].chance, "own": row.details["own_confidence/student"].value}))
"""


@pytest.mark.slow
def test_a_metric_of_ones_own_module_is_that_of_the_pgr_and_another_stands_in_the_report(tmp_path: Path):
    (tmp_path / "own_metrics.py").write_text(OWN)
    build(tmp_path / "store", Shape(losses=LOSSES[:2], metric="own_likelihood"))
    command = [sys.executable, "-c", REPORT, str(tmp_path / "store"), NAME, str(tmp_path / "out")]
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    env = {"PATH": "", "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path / "mpl")}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["low"] <= found["pgr"] <= 1
    assert found["student"] < 0
    assert found["chance"] == pytest.approx(-np.log(2))
    assert 0.5 < found["own"] < 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "own likelihood" in page
    assert "gap recovered in each of them" in page
    assert page.index(">CAPA</th>") < page.index(">own confidence</th>")
