"""Every ready sweep is what it says: its choices exist, its cells are valid, and its graph has so many stages."""

import re
from dataclasses import replace
from functools import cache
from itertools import product, takewhile
from pathlib import Path

import pytest
import yaml
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.setups import identify
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.cells.parse import parse
from w2s_sweep.config.source import HubSource
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.main import CONF

SIZES = {
    "debug": (1, 6),
    "demo": (6, 15),
    "demo_bootstrapping": (6, 19),
    "demo_full": (1, 4),
    "demo_lora": (1, 4),
    "demo_methods": (36, 87),
    "paper_chess": (6, 1 + 2 + 3 + 6),
    "paper_nlp": (264, 22 * (1 + 2 + 3 + 12)),
    "paper_reward": (8, 1 + 2 + 2 + 2 * (2 + 4)),
    "pythia_sst2": (20, 1 + 5 + 20 + 20),
    "reasoning": (2, 7),
    "reasoning_gsm8k": (2, 7),
    "sandbox_chat": (10, 1 + 5 * (2 + 2)),
    "sandbox_math": (10, 1 + 5 * (2 + 2)),
    "qwen_llama_21_tasks": (84, 21 * (1 + 1 + 1 + 4)),
    "science": (10 * 7 * 6 * 3, 10 * (3 + 3 * (42 + 2 + 11 + 4))),
    "science_elicitation": (4 * 4 * 2 * 3, 4 * (4 + 3 * (2 + 8 + 7))),
    "science_losses": (2 * 10 * 14 * 3, 10 * (4 + 3 * (2 * 14 + 3))),
    "released_code_gpt2": (80, 2 * (1 + 5 * (2 + 2 + 8))),
}
"""Preset -> cells, unique stages; every preset is checked to be valid, these also for their size."""
QUICK = {"debug", "demo", "demo_bootstrapping", "demo_full"}
PRESETS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
NOT_RUN = ("reasoning_gsm8k", "sandbox_chat", "sandbox_math", "sandbox_code")
"""Presets of files that are not public, or too large for where this was made: no number is expected; they say so."""
EXPECTED = re.compile(r"Expected|To compare with")
NUMBER = re.compile(r"(?<![\w.])-?\.\d+")
"""A score or a PGR, as tables write them: .38"""
SOURCE = re.compile(
    r"docs/LOG\.md, \d{4}-\d\d-\d\d|[Ff]igure|[Tt]able \d|[Ss]ection|public run|released code|https?:|blog\."
)
"""Where numbers come from: the log of this project with its date, a part of a paper, or what others ran."""


pytestmark = pytest.mark.usefixtures("composing")


def swept(path: Path) -> dict[str, list[str]]:
    """Setting -> values of the sweep that the file stands for, with those of the file it builds on."""
    content = yaml.safe_load(path.read_text())
    params = (content.get("hydra") or {"sweeper": {"params": {}}})["sweeper"]["params"]
    for base in content.get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            params = yaml.safe_load(path.with_stem(base).read_text())["hydra"]["sweeper"]["params"] | params
    overrides = {name: OverridesParser.create().parse_override(f"{name}={value}") for name, value in params.items()}
    return {name: values_of(override) for name, override in overrides.items()}


def values_of(override) -> list[str]:
    """What a setting is swept over; of an interval, which a search chooses from, its two ends."""
    value = override.value()
    if override.is_interval_sweep():
        return [str(value.start), str(value.end)]
    return [str(v) for v in override.sweep_string_iterator()] if override.is_sweep_override() else [str(value)]


def composed(*overrides: str):
    (cell,), _ = parse([plain_cell(compose("config", overrides=list(overrides)))])
    return cell


@cache
def choice(setting: str, value: str):
    """What a choice is by itself; for settings that a preset sweeps over and says nothing else about."""
    field = setting.rpartition("@")[2]
    needed = {"weak": [], "strong": ["model@weak=smollm2_135m"]}.get(field, [])
    needed += ["dataset=sums", "finetune=lora"] if value == "reasoning" else []
    return getattr(composed(f"{setting}={value}", *needed), field)


def parts(name: str, setting: str, values: list[str], others: list[str]) -> list[tuple[str, object]]:
    """What each value of a swept setting makes of its part of the cell.

    Datasets are composed once and renamed: every one of them composes in tests/conf/test_conf.py.
    """
    field = setting.rpartition("@")[2].partition(".")[0]
    if field == "dataset":
        assert all((CONF / "dataset" / f"{value}.yaml").is_file() for value in values)
        one = composed(f"experiment={name}", *others, f"dataset={values[0]}").dataset
        return [(field, replace(one, name=value, source=HubSource(repository=f"o/{value}"))) for value in values]
    if "." in setting or field in yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text()):
        return [(field, getattr(composed(f"experiment={name}", *others, f"{setting}={v}"), field)) for v in values]
    return [(field, choice(setting, value)) for value in values]


def grid(name: str):
    """All cells of a preset, from one composition for each value."""
    settings = swept(CONF / "experiment" / f"{name}.yaml")
    first = [f"{setting}={values[0]}" for setting, values in settings.items()]
    base = composed(f"experiment={name}", *first)
    choices = []
    for setting, values in settings.items():
        others = [line for line in first if not line.startswith(f"{setting}=")]
        seeds = setting == "seed"
        choices.append([("seed", int(v)) for v in values] if seeds else parts(name, setting, values, others))
    return [replace(base, **dict(combination)) for combination in product(*choices)]


def test_what_is_counted_is_there():
    assert set(SIZES) <= set(PRESETS)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PRESETS]
)
def test_a_preset_is_a_valid_sweep_of_the_size_it_says(name):
    cells = grid(name)
    assert [problem for cell in cells for problem in problems_of(cell)] == []
    graph = merge(cells, identify)
    counted = len(cells), len(graph.stages)
    assert counted == SIZES.get(name, counted)


@pytest.mark.parametrize("name", ["sandbox_math", "sandbox_code"])
def test_a_preset_that_builds_on_another_has_its_own_data(name):
    assert composed(f"experiment={name}").dataset.name == name


def head_of(path: Path) -> str:
    """The comment that a preset begins with."""
    lines = takewhile(lambda line: line.startswith("# "), path.read_text().splitlines())
    return " ".join(line.removeprefix("# ") for line in lines)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_preset_says_which_numbers_to_expect_and_from_where(path):
    if path.stem in NOT_RUN:
        assert "No number is expected here" in head_of(path)
        assert not NUMBER.search(head_of(path))
        return
    expected = EXPECTED.search(head_of(path))
    assert expected, "no comment says 'Expected' or 'To compare with'"
    said = head_of(path)[expected.start() :]
    assert NUMBER.search(said), said
    assert SOURCE.search(head_of(path)), said


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_date_of_the_log_that_a_preset_names_is_one(path):
    log = (CONF.parent / "docs" / "LOG.md").read_text()
    for date in re.findall(r"docs/LOG\.md, (\d{4}-\d\d-\d\d)", head_of(path)):
        assert f"\n## {date}: " in log
