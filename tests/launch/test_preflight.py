"""Whatever is typed wrong ends in one clear error before any work, with exit status 1 and without a traceback."""

import json

import pytest

from tests.command import launch, own_folder
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF


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
        (["experimnt=demo"], ["'experimnt'", "Did you mean 'experiment'"]),
        (["n_train=100"], ["setting: 'n_train' is none. It is dataset.n_train."]),
        (["lr=3e-5"], ["It is ", "finetune.lr"]),
        (["finetune=lora", "finetune.modules_to_save=[norm]"], ["'modules_to_save'", "the head trains alone"]),
        (["finetune=lora", "finetune.use_dora=true"], ["It is finetune.dora."]),
        (["finetune.l3=1"], ["finetune", "'l3'", "l2"]),
        (["weak=minilm_l6"], ["weak", "model@weak=NAME"]),
        (["model=minilm_l6"], ["model@weak=NAME"]),
        (["launcher=slurm"], ["setting: 'launcher' is none. It is chosen with hydra/launcher=slurm"]),
        (["partition=gpu"], ["hydra.launcher.partition of hydra/launcher=slurm"]),
        (["hydra/launcher=slurm", "hydra.launcher.timeout_min=9"], ["'timeout_min'", "hydra.launcher.minutes"]),
        (["hydra/launcher=slurm", "hydra.launcher.nodes=2"], ["'nodes'", "one node"]),
        (["store=~/runs"], ["""'store="~/runs"'"""]),
        (["dataset.path=für uns.jsonl"], ["""'dataset.path="für uns.jsonl"'"""]),
        (["finetune={name: probes}"], ["finetune", "probes", "Allowed: "]),
        (["hydra/launcher=slrm"], ["hydra/launcher", "'slrm'", "local"]),
        (["hydra.launcher.procs=2"], ["hydra.launcher", "'procs'", "processes"]),
        (["hydra/launcher=slurm", "hydra.launcher.processes=2"], ["hydra.launcher", "'processes'", "partition"]),
        (
            ["hydra/launcher=slurm", "hydra.launcher.stages.celing.gpus=1"],
            ["hydra.launcher.stages", "'celing'", "Did you mean 'ceiling'", "annotate", "in all)"],
        ),
        (["hydra/launcher=slurm", "+hydra.launcher.stages.link.gpu=1"], ["hydra.launcher.stages.link", "'gpus'"]),
        (["method=bootstrapping", "method.chain.keep_layers=1"], ["method.chain=[{model: NAME, keep_layers: VALUE}]"]),
        (["foo=[1"], ["foo=[1", "cannot be read"]),
        (["seed=1,2"], ["seed=1,2", "needs -m"]),
        (["seed=range(3)"], ["seed=range(3)", "needs -m"]),
        (["experiment=nothing"], ["experiment", "'nothing'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_typical_mistakes(tmp_path, argv, words):
    err = refused(tmp_path, *argv)
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["finetune.epochs=0", "finetune.lr=-1", "finetune.l2=inf", "finetune.precision=fp8", "+finetune.rank=8"],
            [
                "finetune.epochs: got 0",
                "greater than or equal to 1",
                "finetune.lr: got -1",
                "finetune.l2",
                "finetune.precision",
                "'fp8'",
                "bf16",
                "'rank'",
                "belongs to finetune=lora",
            ],
        ),
        (
            ["finetune.epochs=two", "seed=1.5", "strong.source.kind=disk"],
            [
                "finetune.epochs: got 'two'",
                "integer",
                "seed: got 1.5",
                "strong.source.kind",
                "'disk'",
                "local",
            ],
        ),
        (["seed=-1", "dataset.source.path=x"], ["seed: got -1", "dataset.source", "'path'"]),
        (["metric=f1", "dataset.task=sst3"], ["metric", "'f1'", "accuracy", "'sst3'", "sst2"]),
        (["seed=nan", "~dataset"], ["seed", "dataset", "missing"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_in_values_are_told_together(tmp_path, argv, words):
    """Cells are composed for it, which takes the most time of it all."""
    err = refused(tmp_path, *argv)
    assert err.startswith(f"{len(argv)} problems")
    for word in words:
        assert word in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["model@weak=smollm2_135m"], ["model@weak and model@strong", "smollm2"]),
        (["hydra.launcher.partition=gpu"], ["hydra.launcher.partition", "Add hydra/launcher=slurm?"]),
        (["dataset.path=/nowhere/at/all"], ["dataset movie_sentiment", "/nowhere/at/all"]),
        (["weak.path=/nowhere/at/all"], ["model@weak", "/nowhere/at/all"]),
        (["hydra.launcher.stages.weak.gpus=1"], ["hydra.launcher", "'stages'", "processes"]),
        (
            ["hydra/launcher=slurm", "hydra.launcher.stages={celing: {gpus: 1}}"],
            ["1 problem", "hydra.launcher.stages", "Did you mean 'ceiling'"],
        ),
        (
            ["method=bootstrapping", "method.chain=[{model: smollm2_135m, keeplayers: 3}]"],
            ["1 problem", "method.chain.0.keeplayers", "Did you mean 'keep_layers'"],
        ),
        (["method=bootstrapping", "method.chain=smollm2_135m"], ["needs a list", "method.chain=[smollm2_135m]"]),
        (["method=bootstrapping", "method.chain=[]"], ["method.chain", "at least 1 item"]),
        (["strong.keep_layers=99"], ["keep_layers", "99", "30"]),
        (
            ["dataset=local", "metric=question_accuracy"],
            ["question_accuracy is of whole questions", "Set dataset.balance=none."],
        ),
        (
            ["finetune=lora", "strong.lora_targets=[]"],
            ["lora_targets of", "strong.lora_targets=[q_proj,v_proj]"],
        ),
        (["-m", "seed=range(0,0)"], ["empty"]),
        (["-m", "plan_only=true,false"], ["plan_only", "same for all cells"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_that_a_cell_or_its_sources_show(tmp_path, argv, words):
    err = refused(tmp_path, *argv)
    for word in words:
        assert word in err


@pytest.mark.slow
def test_all_mistakes_are_reported_at_once(tmp_path):
    err = refused(tmp_path, "loss=xnt", "sed=1", "model@strong=gpt", "finetunes.lr=1")
    assert err.startswith("4 problems")
    err = refused(tmp_path, "-m", "finetune.lr=0,2", "seed=-1,a")
    assert err.startswith("4 problems")
    err = refused(tmp_path, "-m", "loss=xnt", "finetune.lr=abc", "seed=0,a", "strong.feature_layer=null")
    assert err.startswith("3 problems"), err


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["features", "generate", "annotate", "link", "labels", "p_ik", "ceiling"])
def test_resources_of_every_kind_and_role_can_be_set(tmp_path, name):
    argv = ["hydra/launcher=slurm", f"hydra.launcher.stages.{name}.minutes=600", "plan_only=true"]
    assert launch(*argv, f"store={tmp_path}")[::2] == (0, "")


@pytest.mark.slow
def test_choices_may_stand_in_a_folder_of_ones_own(tmp_path):
    own = own_folder(tmp_path, "# @package _global_\nname: mine\nseed: 7\n")
    status, out, err = launch(*own, f"store={tmp_path / 'store'}", "experiment=mine", "plan_only=true")
    assert (status, err) == (0, "")
    assert "sweep mine" in out
    assert "seed 7" in out
    err = refused(tmp_path, *own, "experiment=mien")
    assert "Did you mean 'mine'" in err
    err = refused(tmp_path, "--config-dir", str(tmp_path / "none"), "experiment=mine")
    assert "--config-dir" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# @package _global_\nfinetune:\n  lrr: 3\n  epochs: two\n", ["2 problems", "finetune.lrr", "'two'"]),
        ("# @package _global_\nfinetune:\n  lr: 3\n worse: 1\n", ["mine.yaml", "line 4"]),
        ("# @package _global_\ndefaults:\n  - override /loss: confidnce\n", ["loss/confidnce", "confidence"]),
        ("# @package _global_\ndefaults: confidence\n", ["configuration", "defaults"]),
        ("# @package _global_\nloss: [1, 2]\n", ["experiment/mine", "Cannot merge"]),
        ("# @package _global_\nweak: {name: x}\nweka: {name: x}\n", ["weka"]),
    ],
    ids=["wrong keys", "wrong indent", "wrong default", "text for a list", "wrong kind", "unknown group"],
)
def test_mistakes_in_a_file(tmp_path, text, words):
    err = refused(tmp_path, *own_folder(tmp_path, text), "experiment=mine", "plan_only=true")
    for word in words:
        assert word in err


@pytest.mark.slow
def test_an_optimizer_cannot_plan_only(tmp_path):
    pytest.importorskip("optuna")
    err = refused(tmp_path, "-m", "hydra/sweeper=optuna", "plan_only=true", "finetune.l2=interval(0.01,1)")
    assert "plan_only" in err


@pytest.mark.slow
def test_an_optimizer_is_never_given_the_test_set(tmp_path):
    pytest.importorskip("optuna")
    err = refused(tmp_path, "-m", "hydra/sweeper=optuna", "finetune.l2=interval(0.01,1)")
    for word in ("objective", "validation_pgr", "weak_agreement"):
        assert word in err


@pytest.mark.slow
def test_a_search_by_what_validation_rows_cannot_say_is_refused_before_it_begins(tmp_path):
    pytest.importorskip("optuna")
    words = ["objective=validation_pgr", "metric=question_accuracy", "name=one", "finetune.l2=interval(0.01,1)"]
    err = refused(tmp_path, "-m", "hydra/sweeper=optuna", *words)
    for word in ("objective", "question_accuracy", "weak_agreement"):
        assert word in err


@pytest.mark.slow
def test_of_a_field_that_is_set_twice_the_last_value_counts(tmp_path):
    argv = [f"store={tmp_path}", "plan_only=true", "experiment=demo", "seed=1,2,3,4", "seed=5,6"]
    status, out, err = launch(*argv)
    assert (status, err) == (0, "")
    assert "4 cells ask for" in out


@pytest.mark.slow
@pytest.mark.parametrize(("said", "cells"), [("seed=4", 2), ("seed=4,5", 4), ("loss=xent", 3), ("seed=4,4", 2)])
def test_the_command_replaces_what_an_experiment_sweeps_over(tmp_path, said, cells):
    """`++seed` of the command and `seed` of the file were two settings to Hydra's sweeper: every cell came three times,
    and the interval over seeds was one over copies."""
    status, out, err = launch("experiment=demo", said, "plan_only=true", f"store={tmp_path}")
    assert status == 0, err
    assert f"{cells} cells ask for" in out


@pytest.mark.parametrize(
    "line",
    ["loss=glob(con*)", "model@weak=glob(minilm*)", "finetune=glob([p*,l*],exclude=probe)", "experiment=glob(dem*)"],
)
def test_glob_names_choices_of_a_group(line):
    """It takes them from Hydra's loader, which a parsed line did not have."""
    assert check_words(["-m", line], CONF)[0] == line


def test_a_glob_that_names_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"no choice of loss is like that. Allowed: .*xent"):
        check_words(["-m", "loss=glob(zzz*)"], CONF)
