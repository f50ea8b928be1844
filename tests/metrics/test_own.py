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
from w2s_sweep.metrics import FURTHER, METRICS, Metric, OfRole, weights

each_metric = pytest.mark.parametrize("metric", [metric for _, metric in METRICS.items()], ids=list(METRICS))


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
    assert all([metric.label, metric.about, metric.test, metric.test_text])
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
def test_its_own_resamples_are_those_that_follow_from_its_value(metric: Metric):
    drawn = weights(len(TRUTH), 20, 0)
    expected = Metric.resample(metric, POOR, TRUTH, drawn)
    np.testing.assert_allclose(metric.resample(POOR, TRUTH, drawn), expected)


@each_metric
def test_its_influences_have_the_spread_of_the_jackknife(metric: Metric):
    """Up to a constant: McNemar's test counts what is right and wrong, which is not divided by the examples."""
    own, jackknife = metric.influence(POOR, TRUTH), Metric.influence(metric, POOR, TRUTH)
    assert own is not None
    assert jackknife is not None
    assert jackknife.sum() == pytest.approx(0, abs=1e-12)
    assert np.corrcoef(own, jackknife)[0, 1] > 0.999


@each_metric
def test_its_paired_test_tells_a_difference_from_none(metric: Metric):
    def p_value(second: Array) -> float:
        changes = metric.influence(second, TRUTH) - metric.influence(POOR, TRUTH)
        difference = metric.value(second, TRUTH) - metric.value(POOR, TRUTH)
        return metric.p_value(difference, changes, np.arange(len(TRUTH)), 1)

    assert p_value(POOR) == 1
    assert p_value(predict(0.3, TRUTH, 5)) > 0.05
    assert p_value(GOOD) < 1e-3


def test_the_test_of_the_jackknife_agrees_with_delongs():
    auroc, copies = METRICS["auroc"], np.arange(len(TRUTH))
    difference = auroc.value(GOOD, TRUTH) - auroc.value(POOR, TRUTH)
    changes = [of(auroc, GOOD, TRUTH) - of(auroc, POOR, TRUTH) for of in (Metric.influence, type(auroc).influence)]
    jackknife, delong = (np.log(auroc.p_value(difference, change, copies, 1)) for change in changes)
    assert jackknife == pytest.approx(delong, rel=0.05)


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
    resamples = 200

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
row, test = results.rows[0], results.comparisons[0].by_example
print(json.dumps({"pgr": row.pgr.value, "low": row.pgr.low, "student": row.student.value, "test": test.name,
                  "chance": results.groups[0].chance, "own": row.details["own_confidence/student"].value}))
"""


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
    assert (found["test"], found["chance"]) == ("jackknife", pytest.approx(-np.log(2)))
    assert 0.5 < found["own"] < 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "own likelihood" in page
    assert "gap recovered in each of them" in page
    assert page.index(">CAPA</th>") < page.index(">own confidence</th>")
    assert "the jackknife&#39;s z-test on the pooled test examples" in page
