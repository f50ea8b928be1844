"""A site's own settings in conf/local: every command has them, each launcher its own, and the command line wins."""

import shutil

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from tests.command import launch
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.site import CONF, usual_store

EXAMPLES = sorted((CONF / "local").glob("*.example"))


@pytest.fixture
def site(tmp_path):
    """A folder of configuration with the two examples in use, as they would be in conf/local."""
    (tmp_path / "own" / "local").mkdir(parents=True)
    for path in EXAMPLES:
        shutil.copy(path, tmp_path / "own" / "local" / path.stem)
    return tmp_path / "own"


def composed(site, *argv):
    """What the command comes to, `hydra` included, without running it."""
    GlobalHydra.instance().clear()
    status, out, err = launch("--config-dir", str(site), *argv, "--cfg", "all")
    assert status == 0, err
    return yaml.safe_load(out)


def test_there_is_an_example_of_each_file_and_git_ignores_what_is_made_of_it():
    assert [path.name for path in EXAMPLES] == ["default.yaml.example", "slurm.yaml.example"]
    ignored = (CONF.parent / ".gitignore").read_text().splitlines()
    assert "/conf/local/*.yaml" in ignored


def test_the_local_launcher_has_nothing_of_a_clusters_settings(site):
    found = composed(site)
    assert found["store"] == "/shared/w2s/runs"
    assert found["tracker"]["entity"] == "my-team"
    names = {"_target_", "processes", "gpus", "cpu_ranks", "pack_flops", "notify", "stall_minutes"}
    assert set(found["hydra"]["launcher"]) == names


def test_a_cluster_has_the_sites_settings_and_the_command_wins(site):
    found = composed(site, "hydra/launcher=slurm", "hydra.launcher.account=other", "store=here")
    asked = found["hydra"]["launcher"]
    assert (asked["partition"], asked["account"], asked["setup"]) == ("gpu", "other", ["module load cuda"])
    assert asked["max_parallel"] == 64
    assert found["store"] == "here"


def test_an_experiment_wins_over_the_site(site):
    (site / "experiment").mkdir()
    text = "# @package _global_\nstore: mine\nhydra:\n  launcher:\n    partition: cpu\n"
    (site / "experiment" / "mine.yaml").write_text(text)
    found = composed(site, "experiment=mine", "hydra/launcher=slurm")
    assert (found["store"], found["hydra"]["launcher"]["partition"]) == ("mine", "cpu")


def test_a_store_of_the_environment_is_the_store_of_sweeps_too(site, monkeypatch):
    """What `w2s` reads is what was written; a command line wins."""
    monkeypatch.setenv("W2S_STORE", "/of me/runs (1), $HOME")
    assert composed(site)["store"] == "/of me/runs (1), $HOME" == usual_store(site)
    assert composed(site, "store=here")["store"] == "here"


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), [("local", "default"), ("experiment", "mine")])
def test_a_site_or_an_experiment_may_choose_the_launcher(site, group, name):
    (site / group).mkdir(exist_ok=True)
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: slurm\n"
    (site / group / f"{name}.yaml").write_text(text)
    argv = ["experiment=mine"] if group == "experiment" else []
    assert composed(site, *argv)["hydra"]["launcher"]["partition"] == "gpu"
    assert "partition" not in composed(site, *argv, "hydra/launcher=local")["hydra"]["launcher"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("default", "# @package _global_\nstor: runs\n", ["'stor'", "store"]),
        ("default", "# @package _global_\nstore: runs\n threads: 1\n", ["not YAML"]),
        pytest.param(
            "default", "# @package _global_\nthreads: many\n", ["threads", "'many'", "integer"], marks=pytest.mark.slow
        ),
        pytest.param(
            "slurm", "partitions: gpu\n", ["hydra.launcher", "'partitions'", "Did you mean"], marks=pytest.mark.slow
        ),
        ("slurm", "gpus: many\n", ["hydra.launcher.gpus", "'many'", "integer"]),
    ],
)
def test_a_mistake_in_a_sites_file_is_told(site, tmp_path, name, text, words):
    (site / "local" / f"{name}.yaml").write_text(text)
    store = tmp_path / "store"
    status, _, err = launch(
        "--config-dir", str(site), f"store={store}", "plan_only=true", "hydra/launcher=slurm", "experiment=demo"
    )
    assert status == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (store / "stages").exists()


def test_w2s_looks_at_the_sites_store(tmp_path, monkeypatch):
    monkeypatch.delenv("W2S_STORE", raising=False)
    conf = tmp_path / "conf"
    assert usual_store(conf) == "runs"
    (conf / "local").mkdir(parents=True)
    (conf / "local" / "default.yaml").write_text("store: ${oc.env:PLACE}/runs\n")
    monkeypatch.setenv("PLACE", "/shared")
    assert usual_store(conf) == "/shared/runs"
    monkeypatch.setenv("W2S_STORE", "/mine")
    assert usual_store(conf) == "/mine"
    monkeypatch.delenv("W2S_STORE")
    (conf / "local" / "default.yaml").write_text("store: [\n")
    with pytest.raises(ConfigError, match=r"(?s)store: .*default.yaml cannot be read .*--store FOLDER"):
        usual_store(conf)


def test_w2s_says_which_store_it_looked_at(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("W2S_STORE", str(tmp_path / "none"))
    assert w2s(["status"]) == 1
    assert f"{tmp_path / 'none'} is not a store" in capsys.readouterr().err
