"""Curves over training: what is trained does not notice them, a kill loses and doubles none, their work is bounded."""

import json
from collections import Counter

import numpy as np
import pytest

from tests.results_store import read_curve
from w2s_sweep import sources
from w2s_sweep.cells.merge import merge
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.predictions import CURVE, Evaluated, read_predictions, write_curve
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.training import evaluation
from w2s_sweep.training.examples import Rows

TIMES = 4
TUNED = ["finetune.epochs=4", "finetune.batch_size=10", "finetune.lr=0.01", "finetune.dropout=0.1"]
KINDS = {
    "probe": ["finetune=probe", "finetune.epochs=4", "finetune.batch_size=10"],
    "lora": ["finetune=lora", *TUNED, "finetune.early_stopping=weak", "finetune.evaluations=3"],
    "full": ["finetune=full", *TUNED],
}


class Once:
    """The stages of a cell in a store of its own."""

    def __init__(self, folder, cell, **settings):
        self.store, self.graph = Store(folder), merge([cell], sources.identify)
        self.store.prepare()
        self.pack = Pack(self.store, [*self.graph.stages.values()], RunSettings(threads=1, **settings))

    def run(self, stop=lambda: False):
        outcomes = run_pack(self.pack, stop)
        assert "failed" not in outcomes.values(), [read_json(p) for p in self.store.root.glob("work/*/failure.json")]
        return outcomes

    def path(self, role, name):
        return self.store.path(getattr(self.graph.roles[0], role)) / name


@pytest.fixture(scope="module", params=KINDS)
def runs(request, tmp_path_factory, tiny_models, tiny_task):
    """(kind, a cell that ran without evaluations, the same with them and stopped on the way again and again)."""
    folder = tmp_path_factory.mktemp(request.param)
    cell, _ = composed_cell([*tiny_models, *tiny_task, "dataset.n_train=80", *KINDS[request.param]])
    without = Once(folder / "without", cell)
    without.run()
    evaluated = Once(folder / "with", cell, test_evaluations=TIMES, checkpoint_seconds=1e9)
    polls = iter(range(10**9))
    kept = 0
    for patience in range(12, 60, 2):  # growing, as what has no checkpoint begins anew
        last = next(polls) + patience
        if "preempted" not in evaluated.run(lambda last=last: next(polls) > last).values():
            break
        left = len(list(evaluated.store.root.glob("work/*/curve/*")))
        if left > 1 and not kept:  # as after a kill before the first checkpoint: its evaluations are there already
            [path.unlink() for path in evaluated.store.root.glob("work/*/checkpoint.safetensors")]
        kept = max(kept, left)
    assert kept > 1, "no run was stopped between two evaluations"
    return request.param, without, evaluated


ROLES = ("weak", "student", "ceiling")


@pytest.mark.slow
def test_what_is_trained_and_predicted_is_the_same_bit_for_bit(runs):
    _, without, evaluated = runs
    for role in ROLES:
        kept = [name for name in ("predictions.parquet", "head.safetensors", "weights.safetensors")
                if without.path(role, name).is_file()]  # fmt: skip
        assert len(kept) > 1
        for name in kept:
            assert without.path(role, name).read_bytes() == evaluated.path(role, name).read_bytes(), (role, name)
        assert not without.path(role, CURVE).exists()


@pytest.mark.slow
def test_every_evaluation_is_there_once_whatever_was_stopped(runs):
    kind, _, evaluated = runs
    for role in ROLES:
        curve = read_curve(evaluated.path(role, CURVE))
        (steps,) = {one.steps for one in curve}
        assert [one.step for one in curve] == [round(steps * i / TIMES) for i in range(1, TIMES + 1)]
        rows = [json.loads(line) for line in evaluated.path(role, "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows if "curve/accuracy" in row] == [one.step for one in curve]
        assert Counter(row["step"] for row in rows if "loss" in row) == Counter(range(1, steps + 1))
        test = read_predictions(evaluated.path(role, "predictions.parquet"), "test")
        known = dict(zip(test.ids, test.probs, strict=True))
        assert all(set(one.ids) <= set(known) and len(one.ids) == len(set(one.ids)) for one in curve)
        said = read_json(evaluated.path(role, "summary.json"))["curve test rows"]
        assert {len(one.ids) for one in curve} == {said}
        assert not list(evaluated.store.root.glob("work/*"))
        if kind != "lora":  # which ends with its best parameters, and not with the last ones
            last = np.stack([known[name] for name in curve[-1].ids])
            np.testing.assert_allclose(curve[-1].probs, last, atol=1e-5)
            assert not np.allclose(curve[0].probs, last, atol=1e-4)
        if kind == "probe":
            assert said == len(test)


class Learnt:
    """The part of a context that says how a stage is evaluated."""

    def __init__(self, settings, times):
        self.settings, self.run = settings, RunSettings(test_evaluations=times)


@pytest.mark.slow
def test_evaluations_of_a_fine_tuning_are_a_tenth_of_its_work_and_a_probe_predicts_everything(tiny_models, tiny_task):
    names = np.array([f"row-{i}" for i in range(5000)], dtype=object)
    rows = Rows(names, ["text"] * 5000, np.zeros(5000, np.int8), np.array(["test"] * 4000 + ["half_b"] * 1000))
    sizes = {}
    for kind, words in KINDS.items():
        cell, _ = composed_cell([*tiny_models, *tiny_task, *words])
        stages = merge([cell], sources.identify).stages.values()
        settings = next(s.settings for s in stages if isinstance(s.settings, Finetune | Probe))
        for times in (0, 4, 10):
            found = evaluation.evaluation_of(Learnt(settings, times), None, rows, examples=1000, predicted=5000)
            sizes[kind, times] = len(found.chosen)
            assert set(found.chosen) <= set(range(4000))
    assert sizes["probe", 4] == sizes["probe", 10] == 4000
    assert sizes["full", 4] * 4 == pytest.approx(0.1 * (3 * 4 * 1000 + 5000), rel=0.01)
    assert sizes["full", 10] * 10 == pytest.approx(0.1 * (3 * 4 * 1000 + 5000), rel=0.01)
    assert sizes["lora", 10] * 10 == pytest.approx(0.1 * (2 * 4 * 1000 + 5000), rel=0.01)
    assert {sizes[kind, 0] for kind in KINDS} == {0}


def test_a_curve_is_read_as_it_was_written(tmp_path):
    draw = np.random.default_rng(0)
    curve = [
        Evaluated(step, 9, np.array([f"r{i}" for i in range(n)], dtype=object), draw.random((n, 3), np.float32))
        for step, n in ((3, 4), (6, 4), (9, 2))
    ]
    write_curve(tmp_path / CURVE, curve)
    for one, again in zip(curve, read_curve(tmp_path / CURVE), strict=True):
        assert (one.step, one.steps, one.ids.tolist()) == (again.step, again.steps, again.ids.tolist())
        assert np.array_equal(one.probs, again.probs)
