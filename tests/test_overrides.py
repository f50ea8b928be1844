"""Whatever is typed wrong ends in one clear error before any work, with exit status 1 and without a traceback."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command import launch


def run(*argv):
    status, _, err = launch(*argv)
    return status, err


def refused(tmp_path, *argv):
    store = tmp_path / "store"
    status, err = run(f"store={store}", *argv)
    assert status == 1, err
    assert err.strip()
    assert "Traceback" not in err
    assert not (store / "stages").exists()
    return err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["loss=xnt"], ["loss", "'xnt'", "Did you mean 'xent'"]),
        (["model@weak=minilm"], ["model@weak", "'minilm'", "minilm_l6"]),
        (["sed=1"], ["'sed'", "Did you mean 'seed'"]),
        (["finetune.l3=1"], ["finetune", "'l3'", "l2"]),
        (["finetune.epochs=two"], ["finetune.epochs", "'two'", "integer"]),
        (["finetune.epochs=0"], ["finetune.epochs", "0", "greater than or equal to 1"]),
        (["finetune.lr=-1"], ["finetune.lr", "-1"]),
        (["finetune.precision=fp8"], ["finetune.precision", "'fp8'", "bf16"]),
        (["metric=f1"], ["metric", "'f1'", "accuracy"]),
        (["seed=1.5"], ["seed", "1.5", "integer"]),
        (["seed=-1"], ["seed", "-1"]),
        (["weak=minilm_l6"], ["weak", "model@weak=NAME"]),
        (["model=minilm_l6"], ["model@weak=NAME"]),
        (["model@weak=smollm2_135m"], ["model@weak and model@strong", "smollm2"]),
        (["+finetune.rank=8"], ["finetune", "'rank'"]),
        (["finetune={name: probes}"], ["finetune", "probes", "Allowed: "]),
        (["dataset.source.path=x"], ["dataset.source", "'path'"]),
        (["dataset.path=/nowhere/at/all"], ["dataset movie_sentiment", "/nowhere/at/all"]),
        (["weak.path=/nowhere/at/all"], ["model@weak", "/nowhere/at/all"]),
        (["strong.source.kind=disk"], ["strong.source.kind", "'disk'", "local"]),
        (["dataset.task=sst3"], ["'sst3'", "sst2"]),
        (["hydra/launcher=slrm"], ["hydra/launcher", "'slrm'", "local"]),
        (["foo=[1"], ["foo=[1", "cannot be read"]),
        (["strong.keep_layers=99"], ["keep_layers", "99", "30"]),
        (["seed=1,2"], ["seed=1,2", "--multirun"]),
        (["-m", "seed=range(0,0)"], ["empty"]),
        (["-m", "plan_only=true,false"], ["plan_only", "same for all cells"]),
        (["seed=nan"], ["seed"]),
        (["finetune.l2=inf"], ["finetune.l2"]),
        (["~dataset"], ["dataset", "missing"]),
        (["experiment=nothing"], ["experiment", "'nothing'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_typical_mistakes(tmp_path, argv, words):
    err = refused(tmp_path, *argv)
    for word in words:
        assert word in err


def test_all_mistakes_are_reported_at_once(tmp_path):
    err = refused(tmp_path, "loss=xnt", "sed=1", "model@strong=gpt", "finetunes.lr=1")
    assert err.startswith("4 problems")
    err = refused(tmp_path, "-m", "finetune.lr=0,2", "seed=-1,a")
    assert err.startswith("4 problems")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"sentence": f"text {i}", "label": i % 2} for i in range(3)], ["at least 4", "dataset.n_train"]),
        ([{"sentence": f"text {i}", "label": 1} for i in range(50)], ["class"]),
        ([{"phrase": f"text {i}", "label": i % 2} for i in range(50)], ["'sentence'", "phrase"]),
        ([], ["row"]),
        ([{"sentence": f"text {i}", "label": i % 2} for i in range(12)], ["dataset"]),
    ],
    ids=["three rows", "one class", "no text column", "no rows", "too few to split"],
)
def test_data_that_cannot_be_used_is_refused_before_any_training(tmp_path, tiny_models, rows, words):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"dataset.path={path}"
    status, err = run(f"store={tmp_path / 'store'}", "dataset=sst2", "dataset.test_split=null", source, *tiny_models)
    assert status == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    trained = [p for p in (tmp_path / "store" / "stages").iterdir() if (p / "predictions.parquet").exists()]
    assert trained == []


NAMES = st.sampled_from(
    ["seed", "loss", "dataset", "model@weak", "model@strong", "finetune", "method", "metric", "store.x", "weak.hidden",
     "finetune.lr", "finetune.epochs", "finetune.betas", "dataset.max_tokens", "dataset.source.kind", "tracker.mode",
     "hydra/launcher", "strong.resources.gpus", "nonsense", "finetune.batch_size", "dataset.validation", "threads"]
)  # fmt: skip
BAD = st.one_of(
    st.sampled_from(
        ["nul", "-3", "1e400", "abc", "[1,2", "{a:1}", "[]", "{}", "''", "2.5.1", "??", "a=b", "${nothing}"]
    ),
    st.text("abcxyz_-/.:@[]{}()'\"$!# ", min_size=1, max_size=8).map(lambda text: f"zz{text}"),
)

MALFORMED = st.lists(st.tuples(st.sampled_from(["", "+", "++"]), NAMES, BAD), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(MALFORMED)
def test_malformed_command_lines(tmp_path_factory, parts):
    never_starts_work(tmp_path_factory, parts)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(MALFORMED)
def test_a_thousand_malformed_command_lines(tmp_path_factory, parts):
    never_starts_work(tmp_path_factory, parts)


def never_starts_work(tmp_path_factory, parts):
    """No malformed override starts work, and none shows a traceback."""
    store = tmp_path_factory.mktemp("o") / "store"
    argv = [f"{sign}{name}={value}" for sign, name, value in parts]
    status, err = run(f"store={store}", "plan_only=true", *argv)
    assert "Traceback" not in err
    assert status in (0, 1)
    assert (status == 0) == (not err.strip())
    assert not store.exists()
