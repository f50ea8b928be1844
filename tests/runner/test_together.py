"""Students of a pack that train at the same time leave what each leaves alone, whatever becomes of the others."""

import dataclasses
import json
import logging
import random
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from tests import setups
from tests.setups import cell
from tests.tiny import tiny_llama
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import DeviceLost
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.plan.packs import explain_cotrain, frozen_base
from w2s_sweep.predictions import read_predictions
from w2s_sweep.runner import budget, pack
from w2s_sweep.runner.companions import companions_of, has_to_run_alone
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.runner.together import most_at_once
from w2s_sweep.sources import identify
from w2s_sweep.store import Store
from w2s_sweep.store.claim import read_claim
from w2s_sweep.store.files import read_json
from w2s_sweep.training.together import CommonPasses

LORA = Lora(lr=0.01, epochs=2, batch_size=8, precision="fp32")
ENDLESS = dataclasses.replace(LORA, alpha=1e45)
"""A factor that is infinite in 32 bits."""


def cells(folder):
    """Of two losses and seeds, and a fine-tuning that comes to no numbers."""
    draw = random.Random(0)
    lines = [
        json.dumps({"sentence": f"the film {i} {draw.choice(('good', 'bad'))}" * draw.randint(1, 3), "label": i % 2})
        for i in range(40)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    rows = Dataset(name="rows", task="sst2", source=LocalSource(path=str(folder / "rows.jsonl")), max_tokens=24)
    weak, strong = (
        Model(
            name=f"m{layers}",
            source=LocalSource(path=str(tiny_llama(folder / str(layers), layers=layers))),
            params=30_000,
            layers=layers,
            hidden=32,
            lora_targets=("q_proj", "v_proj"),
        )
        for layers in (1, 2)
    )
    plain = dataclasses.replace(cell(), dataset=rows, weak=weak, strong=strong, finetune=LORA)
    yield plain
    yield dataclasses.replace(plain, loss=Confidence(), seed=1)
    yield dataclasses.replace(plain, finetune=ENDLESS)


@contextmanager
def logging_info():
    """As in the processes of a sweep."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(before)


class Runs:
    """The stages of the cells in a store of its own."""

    def __init__(self, folder, graph):
        self.store, self.graph = Store(folder), graph
        self.store.prepare()
        self.starts, self.ends = [], []

    def run(self, stop=lambda: False, **settings):
        settings = RunSettings(threads=1, test_evaluations=2, **settings)
        pack = Pack(self.store, list(self.graph.stages.values()), settings)
        with logging_info():
            return run_pack(
                pack,
                stop,
                starts=lambda stage: self.starts.append(stage.key),
                ends=lambda stage, outcome: self.ends.append(stage.key),
            )

    def said(self, key):
        return read_json(self.store.path(key) / "summary.json") or {}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return merge(list(cells(tmp_path_factory.mktemp("cells"))), identify)


@pytest.fixture(scope="module")
def alone(graph, tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp("alone"), graph)
    runs.outcomes = runs.run()
    return runs


@pytest.fixture(scope="module")
def together(graph, tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp("together"), graph)
    runs.outcomes = runs.run(cotrain=8)
    return runs


def trained(runs):
    return [key for key, stage in runs.graph.stages.items() if stage.kind == "finetune" and runs.store.is_done(key)]


def require_same(one, other):
    assert trained(one) == trained(other)
    for key in trained(one):
        first, second = one.store.path(key), other.store.path(key)
        assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
        probs = [read_predictions(path / "predictions.parquet").probs for path in (first, second)]
        np.testing.assert_allclose(*probs, atol=1e-5)
        rows = [[json.loads(row) for row in (path / "metrics.jsonl").read_text().splitlines()]
                for path in (first, second)]  # fmt: skip
        assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
        losses = [[row["loss"] for row in these if "loss" in row] for these in rows]
        np.testing.assert_allclose(*losses, atol=1e-5)


@pytest.mark.slow
def test_each_leaves_what_it_leaves_alone(alone, together):
    require_same(alone, together)
    assert len(trained(together)) == 6


@pytest.mark.slow
def test_a_student_that_comes_to_no_numbers_fails_alone(alone, together):
    failed = {key for key, outcome in together.outcomes.items() if outcome == "failed"}
    assert alone.outcomes == together.outcomes
    assert failed
    for key in failed:
        assert together.graph.stages[key].settings.finetune.alpha == 1e45
        for runs in (alone, together):
            failure = read_json(runs.store.work(key) / "failure.json") or {}
            assert "finetune.lr: the loss became nan at step 1" in failure["text"]


@pytest.mark.slow
def test_the_summary_says_how_many_trained_at_once_and_shares_the_time(alone, together):
    for key in trained(together):
        assert "students at once" not in alone.said(key)
    groups = {together.said(key).get("students at once", 1) for key in trained(together)}
    assert max(groups) >= 3
    assert together.starts != alone.starts
    assert sorted(together.starts) == sorted(alone.starts)
    assert sorted(together.ends) == sorted(alone.ends)


@pytest.mark.slow
def test_each_has_a_log_of_its_own(together):
    key = trained(together)[-1]
    log = (together.store.path(key) / "log.txt").read_text()
    assert [key] == [other for other in trained(together) if f"({other}) on" in log]
    assert log.count("training begins after step 0") == 1


@pytest.mark.slow
def test_killed_together_and_continued_alone_or_together_each_ends_as_if_nothing_had_happened(alone, graph, tmp_path):
    runs = Runs(tmp_path, graph)
    begun = runs.store.root / "work"
    assert "preempted" in runs.run(lambda: len(list(begun.glob("*/progress.json"))) > 1, cotrain=8).values()
    kept = [path.parent.name for path in begun.glob("*/checkpoint.safetensors")]
    assert len(kept) > 1
    polls = iter(range(10**6))
    assert "preempted" in runs.run(lambda: next(polls) > 8).values()
    assert runs.run(cotrain=3) == alone.outcomes
    require_same(alone, runs)
    logs = [(runs.store.path(key) / "log.txt").read_text() for key in kept if runs.store.is_done(key)]
    assert any("training begins after step 1" in log for log in logs)


@pytest.fixture
def mates(alone, tmp_path):
    """A pack of students of one base in a store where nothing but they is left to do, and their stages."""
    keys = [key for key in trained(alone) if alone.graph.stages[key].inputs.get("labels")]
    base = frozen_base(alone.graph.stages[keys[0]])
    stages = [stage for stage in map(alone.graph.stages.get, keys) if stage and frozen_base(stage) == base]
    for key in {key for stage in stages for key in stage.inputs.values()}:
        shutil.copytree(alone.store.path(key), Store(tmp_path).path(key))
    store = Store(tmp_path)
    store.prepare()
    assert len(stages) > 1
    return Pack(store, stages, RunSettings(threads=1, cotrain=8)), stages


def break_device(monkeypatch):
    """Common passes fail, and the GPU can compute nothing afterwards."""

    def fail(self, steps):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(CommonPasses, "__call__", fail)
    monkeypatch.setattr("w2s_sweep.training.together.is_lost", lambda: True)


def test_students_whose_gpu_broke_under_them_are_tried_again_alone_and_none_has_failed(mates, monkeypatch):
    job, stages = mates
    store, ends = job.store, []
    with monkeypatch.context() as broken:
        break_device(broken)
        with pytest.raises(DeviceLost) as lost:
            run_pack(job, lambda: False, ends=lambda stage, outcome: ends.append(outcome))
    assert (lost.value.failed, ends) == ((), [])
    assert not list(store.root.glob("work/*/failure.json"))
    assert {frozenset(companions_of(store, stage.key)) for stage in stages} == {frozenset(s.key for s in stages)}
    assert [read_claim(store, stage.key) for stage in stages] == [None for _ in stages]
    first, others = stages[0], stages[1:]
    assert pack._mates(job, first, others, {}) == []
    again = dataclasses.replace(job, stages=[first])
    assert run_pack(again, lambda: False) == {first.key: "done"}
    assert "students at once" not in (read_json(store.path(first.key) / "summary.json") or {})


def test_what_ends_as_it_was_asked_to_may_train_beside_others_again(mates):
    job, stages = mates
    polls = iter(range(99))
    assert set(run_pack(job, lambda: next(polls) > 2 * len(stages)).values()) == {"preempted"}
    assert list(job.store.root.glob("work/*/log.txt"))
    assert not any(has_to_run_alone(job.store, stage.key) for stage in stages)
    assert pack._mates(job, stages[0], stages[1:], {}) == stages[1:]


def test_where_a_claim_fails_the_others_are_released(mates, monkeypatch):
    job, stages = mates
    claims = iter([pack.acquire(job.store, stages[0].key)])

    def acquire(store, key):
        lease = next(claims, None)
        if lease is None:
            raise OSError("made up")
        return lease

    monkeypatch.setattr(pack, "acquire", acquire)
    with pytest.raises(OSError, match="made up"):
        run_pack(job, lambda: False)
    assert read_claim(job.store, stages[0].key) is None


def test_a_model_whose_size_cannot_be_told_runs_alone_and_ends_no_process(mates, monkeypatch):
    def fail(stages):
        raise KeyError("hidden_size")

    monkeypatch.setattr(budget, "students_that_fit", fail)
    assert most_at_once(mates[1]) == 1


NOT_TOGETHER = {"dropout": 0.1, "dora": True}


def test_only_adapters_without_dropout_on_one_base_train_together(graph):
    stages = trained_kinds(graph.stages.values())
    assert {frozen_base(stage) is None for stage in graph.stages.values()} == {True, False}
    assert len({frozen_base(stage) for stage in stages}) == 2  # of two models

    def changed(**change):
        return dataclasses.replace(stages[0], settings=dataclasses.replace(stages[0].settings, **change))

    recipe = stages[0].settings.finetune
    alike = [changed(seed=7), changed(finetune=dataclasses.replace(recipe, rank=2, lr=0.5, epochs=9))]
    assert {frozen_base(stage) for stage in alike} == {frozen_base(stages[0])}
    others = [changed(finetune=dataclasses.replace(recipe, **{name: value})) for name, value in NOT_TOGETHER.items()]
    others.append(changed(reward="implicit", beta=0.1))
    full = merge([dataclasses.replace(cell(), finetune=Full())], setups.identify)
    others += trained_kinds(full.stages.values())
    assert {frozen_base(stage) for stage in others} == {None}
    assert frozen_base(changed(finetune=dataclasses.replace(recipe, precision="bf16"))) != frozen_base(stages[0])


def test_a_plan_says_how_many_train_alone_all_the_same(graph):
    stages = list(graph.stages.values())
    assert explain_cotrain(stages, 8) == explain_cotrain(stages, 1) == ()
    full = merge([dataclasses.replace(cell(), finetune=Full())], setups.identify)
    (line,) = explain_cotrain([*stages, *full.stages.values()], 4)
    assert line.startswith(
        f"cotrain=4: 3 of {len(trained_kinds(stages)) + 3} stages train alone all the same; together"
    )
    first = trained_kinds(stages)[:1]
    (line,) = explain_cotrain(first, 4)
    assert line.startswith("cotrain=4: 1 of 1 stages")


def test_a_plan_counts_students_of_a_model_that_reads_distances_as_alone(graph, tmp_path):
    """DeBERTa, where its configuration is on the machine; no weight is read."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "deberta-v2", "relative_attention": True}))
    first = trained_kinds(graph.stages.values())[0]
    model = dataclasses.replace(first.hints.of_model, source=LocalSource(path=str(tmp_path)))
    stages = [
        dataclasses.replace(stage, hints=dataclasses.replace(stage.hints, model=model))
        for stage in trained_kinds(graph.stages.values())
    ]
    (line,) = explain_cotrain(stages, 4)
    assert line.startswith(f"cotrain=4: {len(stages)} of {len(stages)} stages train alone")


def trained_kinds(stages):
    return [stage for stage in stages if stage.kind == "finetune"]
