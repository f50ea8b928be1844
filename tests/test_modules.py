"""Losses, tasks and methods of somebody's own: from the command line to the report, and what is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import launch, sweep_record, trained
from tests.outside import FOCAL, LOUD, chosen, forgotten, write_outside
from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import ConfigError
from w2s_sweep.losses import LOSSES, loss_from_plain, loss_settings
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.modules import import_all, import_possible
from w2s_sweep.plan.stage import digest

FAST = ["finetune=probe", "finetune.epochs=3", "threads=1", "tracker=none"]


@pytest.fixture(autouse=True)
def _forget():
    with forgotten():
        yield


def expert(tiny_models: list[str]) -> str:
    path = next(line.partition("=")[2] for line in tiny_models if line.startswith("strong.path"))
    return f"method.experts=[{{path: {path}, name: expert}}]"


@pytest.mark.slow
def test_they_run_from_the_command_line_and_are_reported(tmp_path, tiny_models, capsys):
    mine, store = write_outside(tmp_path), tmp_path / "store"
    argv = [*chosen(mine), f"store={store}", "name=own", *tiny_models, *FAST, "loss.gamma=1.5", expert(tiny_models)]
    status, out, err = launch(*argv)
    assert status == 0, err
    assert "1 of 1 cells" in out
    record = sweep_record(store)
    (entry,) = record["cells"]
    assert (entry["cell"]["loss"], entry["cell"]["dataset"]["task"]) == ({"name": "focal", "gamma": 1.5}, "loud")
    assert entry["cell"]["method"]["experts"][0]["name"] == "expert"
    assert {about["role"] for about in record["stages"].values()} >= {"link", "student"}
    assert set(entry["roles"].values()) <= trained(store).keys()
    assert record["settings"]["modules"] == [str(mine / f"{name}.py") for name in ("focal", "loud", "experts")]
    code = "import sys; from w2s_sweep.cli import main; sys.exit(main())"  # a process that knows none of them
    words = [sys.executable, "-c", code, "--store", str(store), "report", "own", "--format", "md"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "focal" in done.stdout
    (mine / "focal.py").unlink()
    del sys.modules[str(mine / "focal.py")]
    assert w2s(["--store", str(store), "report", "own", "--format", "md"]) == 0
    said = capsys.readouterr()
    assert "focal" in said.out
    assert f"there is no file {mine / 'focal.py'}" in said.err
    assert w2s(["--store", str(store), "retry", "own"]) == 1
    assert f"there is no file {mine / 'focal.py'}" in capsys.readouterr().err


@pytest.mark.slow
def test_relative_files_and_an_experiment_name_modules_and_errors_list_what_they_register(tmp_path, monkeypatch):
    mine = write_outside(tmp_path)
    monkeypatch.chdir(tmp_path)
    (mine / "experiment").mkdir()
    (mine / "experiment" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /loss: focal\nmodules: [mine/focal.py]\n"
    )
    argv = ["--config-dir", "mine", "plan_only=true", f"store={tmp_path / 'store'}"]
    assert launch(*argv, "modules=[mine/focal.py]", "loss=focal")[::2] == (0, "")
    assert launch(*argv, "experiment=own", "loss.gamma=1")[::2] == (0, "")
    _, _, err = launch(*argv, "experiment=own", "loss.gama=1")
    assert "Did you mean 'gamma'" in err
    _, _, err = launch(*argv, "experiment=own", "loss=focl")
    assert "Did you mean 'focal'" in err
    _, _, err = launch(*argv, "modules=[mine/focal.py]", "loss=focal", "loss.gamma=-1")
    assert "loss.gamma: got -1" in err


def planned(loss, **change):
    return merge([cell(loss=loss, **change)], identify)


def test_a_version_enters_the_keys_of_what_is_trained_with_a_loss_alone(tmp_path):
    keys: list[dict[str, str]] = []
    for version in (1, 2):
        path = tmp_path / f"focal{version}.py"
        path.write_text(FOCAL.replace("= 1\n", f"= {version}\n").replace('"focal"', f'"focal{version}"'))
        import_all([str(path)])
        loss = LOSSES[f"focal{version}"]()  # pyright: ignore[reportCallIssue]
        assert loss_settings(loss)["version"] == version
        assert loss_from_plain(loss_settings(loss)) == loss
        graph = planned(loss)
        keys.append(vars(graph.roles[0]))
    assert keys[0]["weak"] == keys[1]["weak"]
    assert keys[0]["ceiling"] == keys[1]["ceiling"]
    same = {**loss_settings(loss), "version": 1}
    with pytest.raises(ConfigError, match="planned with version 1, but here it has version 2"):
        loss_from_plain(same)
    student = graph.stages[graph.roles[0].student]
    other = student.preimage | {"settings": {**student.preimage["settings"], "loss": same}}
    assert digest(other) != student.key
    assert "version" not in loss_settings(CrossEntropy())


def test_a_task_of_version_one_is_another_than_one_of_this_package(tmp_path):
    (tmp_path / "loud.py").write_text(LOUD)
    import_all([str(tmp_path / "loud.py")])
    graph = planned(CrossEntropy())
    assert "task_version" not in next(s for s in graph.stages.values() if s.kind == "data").preimage["settings"]
    graph = planned(CrossEntropy(), dataset=replace(cell().dataset, task="loud"))
    assert next(s for s in graph.stages.values() if s.kind == "data").preimage["settings"]["task_version"] == 1


NO_VERSION = FOCAL.replace("    version: ClassVar[int] = 1\n", "")
TAKEN = FOCAL.replace('"focal"', '"window"')


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (NO_VERSION, ["line 12", "loss 'focal'", "no version", "Begin with 1"]),
        (LOUD.replace(", version=1", ""), ["line 10", "task 'loud'", "no version"]),
        (TAKEN, ["line 12", "loss 'window'", "w2s_sweep.losses.window", "Rename one"]),
        (FOCAL.replace("ClassVar[int] = 1", "int = 1"), ["version: ClassVar[int] = 1"]),
        ("import os\n\nx = os.enviro\n", ["line 3", "AttributeError"]),
        ("import nowhere_at_all\n", ["line 1", "No module named 'nowhere_at_all'"]),
        ("def broken(:\n", ["line 1", "SyntaxError"]),
        ("import sys\nsys.exit(3)\n", ["line 2", "SystemExit"]),
        (None, ["there is no file"]),
    ],
    ids=["no version", "task without", "taken", "version as a setting", "raises", "import", "syntax", "exit", "gone"],
)
def test_what_is_wrong_with_a_module_is_one_clear_error(tmp_path, source, words):
    path = tmp_path / "own.py"
    if source is not None:
        path.write_text(source)
    status, _, err = launch(f"modules=[{path}]", "plan_only=true", f"store={tmp_path / 'store'}")
    assert status == 1
    assert err.startswith("1 problem")
    assert "Traceback" not in err
    for word in [str(path), *words]:
        assert word in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "word"),
    [
        (FOCAL.replace("@schema\n", ""), "Put @schema"),
        (FOCAL.replace('Literal["focal"]', "str"), 'Literal["focal"]'),
    ],
    ids=["no schema", "no literal"],
)
def test_a_class_that_cannot_be_told_apart_is_refused(tmp_path, source, word):
    (tmp_path / "own.py").write_text(source)
    argv = [f"modules=[{tmp_path / 'own.py'}]", "plan_only=true", f"store={tmp_path / 'store'}"]
    status, _, err = launch(*argv)
    assert (status, word in err, "Traceback" in err) == (1, True, False)


def test_two_modules_cannot_have_one_name_and_what_cannot_be_imported_is_told_where_it_is_missed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(FOCAL)
    import_all([str(tmp_path / "one.py"), str(tmp_path / "one.py")])
    (problem,) = import_possible([str(tmp_path / "two.py")])
    assert str(tmp_path / "one.py") in problem
    assert str(tmp_path / "two.py") in problem
    with pytest.raises(ConfigError, match=r"unknown name 'fokal'.*Did you mean 'focal'(?s:.*)two\.py"):
        loss_from_plain({"name": "fokal"})


@pytest.mark.slow
def test_a_package_is_named_as_python_imports_it(tmp_path, monkeypatch):
    package = tmp_path / "own_losses"
    package.mkdir()
    (package / "__init__.py").write_text("import own_losses.focal\n")
    (package / "focal.py").write_text(FOCAL)
    monkeypatch.syspath_prepend(str(tmp_path))
    argv = ["plan_only=true", f"store={tmp_path / 'store'}"]
    assert launch("modules=[own_losses]", *argv)[::2] == (0, "")
    assert "focal" in LOSSES
    status, _, err = launch("modules=[own_loses]", *argv)
    assert (status, "Python finds no module 'own_loses'" in err) == (1, True)
    for name in ("own_losses", "own_losses.focal"):
        del sys.modules[name]


@pytest.mark.slow
def test_installed_packages_are_found_by_their_entry_point(tmp_path):
    info = tmp_path / "own_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[w2s_sweep.plugins]\nfocal = own_focal\n")
    (tmp_path / "own_focal.py").write_text(FOCAL)
    code = (
        "import sys; from w2s_sweep.launch.preflight import check_words; from w2s_sweep.launch.main import CONF\n"
        "check_words(['loss.gamma=1'], CONF); from w2s_sweep.losses import LOSSES; sys.exit('focal' not in LOSSES)"
    )
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]))
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


@pytest.mark.slow
def test_modules_are_a_list(tmp_path):
    argv = ["plan_only=true", f"store={tmp_path / 'store'}"]
    status, _, err = launch("modules=mine/focal.py", *argv)
    assert (status, "modules=[mine/focal.py]" in err) == (1, True)
