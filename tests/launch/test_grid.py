"""A grid is counted before it is composed, settings can be zipped, and what is said of Hydra acts on all cells."""

import os

import pytest
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from tests.command import launch
from w2s_sweep.errors import ConfigError, Interrupted
from w2s_sweep.launch.grid import MOST_CELLS, cells_of, group, require_yes

GRID = {"model@weak": ["a", "b"], "model@strong": ["x", "y"], "seed": ["0", "1", "2"], "++finetune.lr": ["1", "2"]}


def grid(*groups):
    choices = {name: [f"{name}={value}" for value in values] for name, values in GRID.items()}
    return cells_of(choices, group(choices, OmegaConf.create(list(groups))))


def test_zipped_settings_take_their_values_together():
    cells = grid(["weak", "strong"])
    assert len(cells) == 2 * 3 * 2
    assert {(cell[0], cell[1]) for cell in cells} == {
        ("model@weak=a", "model@strong=x"),
        ("model@weak=b", "model@strong=y"),
    }
    assert len(grid(["strong", "finetune.lr", "weak"])) == 2 * 3
    assert len(grid()) == 2 * 2 * 3 * 2


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([["weak", "seed"]], ["2 of weak, 3 of seed", "equally many"]),
        ([["weak", "strng"]], ["unknown name 'strng'. Did you mean 'strong'?"]),
        ([["weak"]], ["two or more settings", "zip=[[weak,strong]]"]),
        ([["weak", "strong"], ["strong", "finetune.lr"]], ["can stand in one list once"]),
        (["weak"], ["zip=[[weak,strong]]"]),
    ],
)
def test_what_cannot_be_zipped_is_told(groups, words):
    with pytest.raises(ConfigError) as told:
        grid(*groups)
    for word in words:
        assert word in str(told.value)


@pytest.mark.slow
def test_a_zip_is_run_from_the_command_line_and_counted(tmp_path, tiny_models, tiny_task):
    words = ["seed=0,1", "finetune.l2=1,2", "zip=[[seed,finetune.l2]]", "loss=xent,confidence", "plan_only=true"]
    status, out, err = launch("-m", f"store={tmp_path}", *tiny_models, *tiny_task, *words)
    assert status == 0, err
    assert "grid: 2 of seed with finetune.l2 x 2 of loss = 4 cells" in out
    assert "4 cells ask for" in out
    assert "zip: " in launch(f"store={tmp_path}", "zip=[[weak,strong]]")[2]


def test_a_huge_grid_is_asked_for_before_any_cell_is_composed(tmp_path, monkeypatch):
    huge = ["-m", f"store={tmp_path}", "seed=range(1000)", "finetune.l2=range(1,1001)", "plan_only=true"]
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    status, _, err = launch(*huge)
    assert status == 1
    assert "1,000,000 cells" in err
    assert "1 h 23 min" in err
    assert "yes=true" in err
    require_yes(10**6, yes=True)
    require_yes(MOST_CELLS, yes=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    require_yes(10**6, yes=False)
    monkeypatch.setattr("builtins.input", lambda question: "")
    with pytest.raises(Interrupted):
        require_yes(10**6, yes=False)
    assert launch("--yes", "seed=1", "--cfg", "job", "--package", "yes")[1] == "True\n"


SEEN: list = []


class Recorder(Callback):
    """What Hydra's callbacks are called with."""

    def on_multirun_start(self, config, **kwargs):
        SEEN.append("multirun")

    def on_job_start(self, config, **kwargs):
        SEEN.append(("start", config.hydra.job.num, config.seed, os.environ.get("W2S_TEST_SAID")))

    def on_job_end(self, config, job_return, **kwargs):
        SEEN.append(("end", config.hydra.job.num, config.seed, job_return.status.name))


@pytest.mark.slow
def test_callbacks_and_environment_act_on_the_cells_of_a_grid(tmp_path, tiny_models, tiny_task):
    SEEN.clear()
    words = [
        "+hydra.callbacks.mine._target_=tests.launch.test_grid.Recorder",
        "+hydra.job.env_set.W2S_TEST_SAID=yes",
        "plan_only=true",
    ]
    status, _, err = launch("-m", f"store={tmp_path}", *tiny_models, *tiny_task, "seed=3,4", *words)
    assert status == 0, err
    assert SEEN == [
        "multirun",
        ("start", 0, 3, "yes"),
        ("start", 1, 4, "yes"),
        ("end", 0, 3, "COMPLETED"),
        ("end", 1, 4, "COMPLETED"),
    ]
    assert "W2S_TEST_SAID" not in os.environ


@pytest.mark.slow
def test_cells_have_one_number_in_whatever_batches_they_run(tmp_path, tiny_models, tiny_task):
    SEEN.clear()
    words = ["hydra.sweeper.max_batch_size=1", "dataset.name='task${hydra:job.num}'", "plan_only=true"]
    words += ["+hydra.callbacks.mine._target_=tests.launch.test_grid.Recorder"]
    status, out, err = launch("-m", f"store={tmp_path}", *tiny_models, *tiny_task, "seed=3,4", *words)
    assert status == 0, err
    assert [f" task{i} xent seed {i + 3}" in out for i in (0, 1)] == [True, True]
    assert [one[1] for one in SEEN if one[0] == "start"] == [0, 1]


@pytest.mark.slow
def test_jobs_of_a_cluster_have_the_environment_too(tmp_path, tiny_models, tiny_task):
    words = ["hydra/launcher=slurm", "hydra.launcher.dry_run=true", "+hydra.job.env_set.SAID='a b'", "seed=3"]
    for more in ([], ["-m"]):
        status, out, err = launch(*more, f"store={tmp_path}", *tiny_models, *tiny_task, *words)
        assert status == 0, err
        assert "export SAID='a b'" in out


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("hydra.job.chdir=true", ["hydra.job.chdir: got True", "relative to where the command is typed"]),
        *(
            pytest.param(said, words, marks=pytest.mark.slow)
            for said, words in (
                ("hydra.output_subdir=.hydra", ["hydra.output_subdir", "sweep.json"]),
                ("hydra.sweep.subdir=x", ["hydra.sweep.subdir: got 'x'"]),
                ("hydra/job_logging=default", ["hydra.job_logging", "w2s logs KEY"]),
                ("+hydra.job.env_set.X=${seed}", ["hydra.job.env_set", "${oc.env:NAME}"]),
            )
        ),
    ],
)
def test_what_no_cell_of_a_grid_could_act_on_is_refused_by_name(tmp_path, said, words):
    status, _, err = launch("-m", f"store={tmp_path}", "seed=0,1", said, "plan_only=true")
    assert status == 1
    for word in words:
        assert word in err
