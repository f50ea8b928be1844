"""Every flag of Hydra's parser, and every form of its grammar, acts as in stock Hydra or says why not; the tables of
docs/COMMANDS.md are these."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from tests.command import launch
from w2s_sweep.launch.compose import CachingConfigLoader, compose_cells
from w2s_sweep.launch.grid import cells_of, choices_of, group
from w2s_sweep.launch.hydra_settings import ACT, FILLED, REFUSED, as_current
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF

PAGE = (CONF.parent / "docs" / "COMMANDS.md").read_text()


def rows(heading):
    """The rows of the table below a heading, as cells."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell):
    return re.findall(r"`([^`]*)`", cell)


def test_the_table_has_every_flag_of_the_hydra_that_is_installed():
    known = {name for action in get_args_parser()._actions for name in action.option_strings}
    assert {name for row in rows("Flags") for name in quoted(row[0])} == known


def test_the_table_has_every_setting_of_hydra_and_each_acts_or_is_refused():
    known = {field.name for field in fields(HydraConf)} - {"defaults"}
    assert {name for row in rows("Hydra's own settings") for name in quoted(row[0])} == known
    assert ACT | FILLED | {name.partition(".")[0] for name in REFUSED} == known


def test_the_table_has_every_function_of_the_grammar():
    shown = " ".join(row[1] for row in rows("Grammar")) + "interval("
    assert [name for name in create_functions().functions if f"{name}(" not in shown] == []


WITHOUT = [
    (["--help"], 0, "w2s_sweep, weak-to-strong", "docs/COMMANDS.md"),
    (["--hydra-help"], 0, "Hydra (", "--experimental-rerun"),
    (["--version"], 0, "Hydra ", ""),
    (["--cfg", "job", "--package", "loss"], 0, "# @package loss\nname: xent", ""),
    (["-sc", "install=bash"], 0, "hydra_bash_completion", ""),
    (["-sc"], 1, "shell-completion", "install"),
    (["--info", "searchpath", "hydra.searchpath=[pkg://hydra.conf]"], 0, "hydra.searchpath in command-line", ""),
    (["--resolve"], 1, "--resolve", "Add --cfg job"),
    (["--package", "loss"], 1, "--package", "Add --cfg job"),
    (["--cfg", "job", "seed=1,2"], 1, "seed=1,2: --cfg shows one cell", "plan_only=true"),
    (["--experimental-rerun", "x.pickle"], 1, "pickle", "w2s retry SWEEP"),
    (["--config-path", "nowhere/at/all"], 1, "--config-path", "is not a folder"),
    (["--config-dir", "nowhere/at/all"], 1, "--config-dir", "is not a folder"),
    (["--config-name", "nothing"], 1, "primary config 'nothing'", ""),
    (["hydra.searchpath=[file:///nowhere/at/all]"], 1, "hydra.searchpath", "is not a folder"),
    (["--nosuch"], 2, "unrecognized arguments: --nosuch", ""),
]
SLOW = [
    (["--cfg", "job", "seed=7"], 0, "seed: 7", "name: xent"),
    (["--cfg", "all", "--resolve", "name=${dataset.name}"], 0, "name: movie_sentiment", ""),
    (["--run", "plan_only=true", "seed=7"], 0, "1 cells ask for", "seed 7"),
    (["seed=1", "--info"], 0, "Installed Hydra Plugins", "Config search path"),
    (["-m", "-h"], 0, "== Configuration groups ==", "loss: adaptive_confidence, bootstrap"),
]
"""They compose a cell."""
MULTIRUN = [
    (["-m", "--cfg", "job"], 1, "--cfg", "plan_only=true shows the cells of a grid"),
    (["--info", "searchpath", "--multirun"], 1, "--info", "Leave that out"),
    (["-m", "--run"], 1, "--run, --multirun: only one", ""),
    (["-m", "-sc", "install=bash"], 1, "only one", ""),
    (["-m", "--experimental-rerun", "x.pickle"], 1, "pickle", "w2s retry SWEEP"),
]


@pytest.mark.parametrize(
    ("argv", "status", "first", "second"),
    [*WITHOUT, *MULTIRUN, *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW)],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_flag_acts_or_says_why_not(tmp_path, argv, status, first, second):
    got, out, err = launch(*([] if "-sc" in argv else [f"store={tmp_path}"]), *argv)
    assert got == status, err
    assert first in out + err
    assert second in out + err
    assert "Traceback" not in err


def test_completion_answers_for_what_has_been_typed(monkeypatch):
    monkeypatch.setenv("COMP_LINE", "python launch.py loss=con")
    monkeypatch.setenv("COMP_POINT", "25")
    status, out, _ = launch("-sc", "query=bash")
    assert status == 0
    assert out.split() == ["loss=confidence", "loss=confidence_paper", "loss=confidence_released"]
    assert "@hydra.main" in (CONF.parent / "launch.py").read_text()  # by which Hydra's script knows its programs


def own(folder: Path, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.slow
def test_another_primary_configuration_and_its_search_path(tmp_path):
    """`-cp` in place of conf/, which its search path adds again; `-cn`; both with and without -m."""
    more = own(tmp_path / "more", loss__mine="name: xent\n")
    text = (
        (CONF / "config.yaml")
        .read_text()
        .replace("\nhydra:\n", f"\nhydra:\n  searchpath: ['file://{CONF}', 'file://{more}']\n")
    )
    main = own(tmp_path / "main", special=text.replace("\nseed: 0 ", "\nseed: 9 "))
    words = ["-cp", str(main), "-cn", "special", "plan_only=true", f"store={tmp_path}"]
    status, out, err = launch(*words, "loss=mine")
    assert (status, err) == (0, "")
    assert "seed 9" in out
    status, out, err = launch("-m", *words, "loss=glob(mi*)", "seed=1,2")
    assert (status, err) == (0, "")
    assert "2 cells ask for" in out
    assert launch(*words, "loss=min")[2].count("Did you mean 'mine'") == 1


@pytest.mark.slow
def test_the_search_path_of_the_command_line(tmp_path):
    folder = own(tmp_path / "own", experiment__mine="# @package _global_\nseed: 9\n", loss__mine="name: xent\n")
    words = [f"hydra.searchpath=[file://{folder}]", "plan_only=true", f"store={tmp_path}"]
    status, out, err = launch(*words, "experiment=mine")
    assert (status, err) == (0, "")
    assert "seed 9" in out
    status, out, err = launch("-m", *words, "experiment=mine", "loss=glob(mine*)", "finetune.l2=1,2")
    assert (status, err) == (0, "")
    assert "2 cells ask for" in out


MODEL = "name: {0}\nlora_targets: [a]\nresources: {{gpus: null, cpus: null}}\n"
SMALL = {
    "config": "defaults: [dataset: movie_sentiment, model@weak: gpt2, model@strong: gpt2, loss: xent, finetune: probe, "
    "_self_]\n"
    "seed: 0\nname: null\nthreads: 0\nkeep_weights: false\n",
    "finetune__probe": "name: probe\nlr: 0.1\nl2: 0.1\n",
    **{f"loss__{name}": f"name: {name}\n" for name in ("xent", "confidence", "confidence_paper", "product", "_base")},
    **{f"model__{name}": MODEL.format(name) for name in ("gpt2", "gpt2_medium")},
    **{f"dataset__{name}": f"name: {name}\n" for name in ("movie_sentiment", "sst2")},
}
"""A configuration with the names of ours that takes no time to compose."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = own(tmp_path_factory.mktemp("conf"), **SMALL)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        yield folder


def master(loader, words):
    found = loader.load_configuration("config", list(words), RunMode.MULTIRUN)
    with open_dict(found):
        found.hydra.job.config_name = "config"
    return found


def stock_cells(loader, words):
    """What Hydra's own sweeper and launcher make of them."""
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    found, base = [], master(loader, words)
    for job in BasicSweeper.split_arguments(parsed, None)[0]:
        config = loader.load_sweep_config(base, job)
        with as_current(config.copy()), open_dict(config):
            config.pop("hydra")
            found.append(OmegaConf.to_container(config, resolve=True))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("row", rows("Grammar"), ids=lambda row: row[0].replace("`", ""))
def test_a_grid_is_that_of_hydras_basic_sweeper(small, monkeypatch, row):
    monkeypatch.setenv("W2S_TEST_THREADS", "3")
    words = re.split(r" (?=[+~]*[a-z_.@0-9]+=)", quoted(row[1])[0])
    expected = stock_cells(GlobalHydra.instance().config_loader(), words)
    typed = check_words(["-m", *words], small)[:-1]
    ours = CachingConfigLoader(GlobalHydra.instance().config_loader())
    choices = choices_of(OverridesParser.create(config_loader=ours).parse_overrides(typed))
    assert compose_cells(ours, master(ours, typed), cells_of(choices, group(choices, None))) == expected


@pytest.mark.slow
def test_numbers_of_the_environment_are_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_TEST_CPUS", "2")
    words = [
        "threads=${oc.env:W2S_TEST_CPUS}",
        "finetune.epochs=${oc.env:W2S_TEST_CPUS}",
        "name=${oc.env:W2S_TEST_CPUS}",
    ]
    for more in ([], ["-m", "seed=0,1"]):
        status, out, err = launch(*more, *words, "plan_only=true", f"store={tmp_path}")
        assert (status, err) == (0, "")
        assert "sweep 2 in" in out
    monkeypatch.setenv("W2S_TEST_CPUS", "two")
    assert "threads: got 'two'" in launch(*words, "plan_only=true", f"store={tmp_path}")[2]


@pytest.mark.slow
def test_what_an_experiment_says_of_hydra_acts(tmp_path):
    text = "# @package _global_\ndefaults: [override /hydra/launcher: slurm]\nhydra: {launcher: {partition: x}}\n"
    folder = own(tmp_path / "own", experiment__mine=text)
    words = ["--config-dir", str(folder), "experiment=mine"]
    launcher = yaml.safe_load(launch(*words, "--cfg", "hydra")[1])["hydra"]["launcher"]
    assert (launcher["_target_"].rpartition(".")[2], launcher["partition"]) == ("SlurmLauncher", "x")
    assert launch(*words, "plan_only=true", f"store={tmp_path}")[::2] == (0, "")
    own(tmp_path / "own", experiment__mine="# @package _global_\nhydra: {launcher: {partition: x}}\n")
    for more in ([], ["-m"]):
        status, _, err = launch(*words, *more, f"store={tmp_path}")
        assert status == 1
        assert err.endswith("processes, stall_minutes. It belongs to hydra/launcher=slurm.\n")
        assert err.count("partition") == 1
