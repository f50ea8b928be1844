"""Every file of conf/ composes into a valid cell, and every key in it says what it is."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose

from w2s_sweep.cells.parse import parse
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.main import CONF
from w2s_sweep.losses import LOSSES

GROUPS = ("dataset", "model", "loss", "method", "finetune", "supervisor", "tracker", "experiment")
ALONE = ("dataset", "model", "loss", "method", "finetune", "supervisor", "tracker")
"""Groups whose files set one part of a cell and name no other file."""
FILES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("[a-z]*.yaml"))]
CHECKED = [path for path in sorted(CONF.rglob("*.yaml")) if path.parent.name != "local"]
"""All but what a developer's own site sets."""
NEEDS = {
    ("dataset", "checkmate_in_one"): ["finetune=full"],
    ("dataset", "chess_moves"): ["finetune=full"],
    ("dataset", "chess_puzzles"): ["finetune=full"],
    ("dataset", "gsm8k"): ["finetune=full"],
    ("dataset", "sums"): ["finetune=full"],
    ("method", "reasoning"): ["dataset=sums", "finetune=lora"],
    ("dataset", "local"): ["dataset.source.path=rows.jsonl"],
    ("dataset", "sandbox"): ["dataset.source.path=rows"],
    ("dataset", "sandbox_math"): ["dataset.source.path=rows"],
    ("dataset", "sandbox_code"): ["dataset.source.path=rows"],
    ("loss", "wspo"): ["dataset=hh_rlhf", "finetune=lora", "finetune.reward=implicit"],
    ("method", "critic"): ["dataset.max_tokens=256"],
    ("method", "bootstrapping"): ["method.chain=[smollm2_135m_first4]"],
    ("method", "implicit_conflict"): ["dataset=hh_rlhf", "method.mix=hh_rlhf_helpful"],
    ("method", "weak_ensemble"): ["method.others=[smollm2_135m_first4]"],
}


pytestmark = pytest.mark.usefixtures("composing")


@cache
def usual() -> dict[str, Any]:
    return plain_cell(compose("config"))


@cache
def contents() -> dict[str, Any]:
    """Group -> file -> what it says; composed at once, since each composition takes time."""
    chosen = [f"+{group}@{group}.{name}={name}" for group, name in FILES if group in ALONE]
    return plain_cell(compose(overrides=chosen))


def composed(group: str, name: str) -> dict[str, Any]:
    """The cell that a choice makes of the usual one."""
    if group in ALONE and name != "minilm_l6" and (group, name) not in NEEDS:
        return {**usual(), "strong" if group == "model" else group: contents()[group][name]}
    choice = f"model@strong={name}" if group == "model" else f"{group}={name}"
    weak = ["model@weak=smollm2_135m"] if name == "minilm_l6" else []
    return plain_cell(compose("config", overrides=[choice, *weak, *NEEDS.get((group, name), [])]))


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_choice_composes_into_a_valid_cell(group, name):
    (cell,), sweep = parse([composed(group, name)])
    assert group != "dataset" or cell.dataset.name == name
    assert group != "model" or cell.strong.name.replace("-", "_").replace(".", "_") == name
    assert not sweep.plan_only


def keys(path: Path) -> dict[str, bool]:
    """Dotted key of a file -> whether its line has a comment, or needs none, since its keys follow on their own lines.

    Keys of a mapping in braces have the comment of their line.
    """
    found, owners = {}, []
    for line in path.read_text().splitlines():
        if match := re.match(r"( *)(\w+):(.*)", line):
            owners[len(match[1]) // 2 :] = [match[2]]
            inside = re.findall(r"(\w+): ", match[3].partition("  # ")[0]) if match[3].startswith(" {") else []
            for name in [*owners[-1:], *inside]:
                place = owners if name == owners[-1] else [*owners, name]
                found[".".join(place)] = "  # " in line or line.endswith(":")
    return found


@cache
def commented(path: Path) -> set[str]:
    """Keys that a file says with a comment, or one of those that it builds on."""
    bases = yaml.safe_load(path.read_text()).get("defaults", [])
    inherited = [commented(path.with_stem(base)) for base in bases if isinstance(base, str) and base != "_self_"]
    return {key for key, said in keys(path).items() if said}.union(*inherited)


def test_the_first_line_of_a_file_says_what_it_is_or_is_its_package():
    assert [path for path in CHECKED if not path.read_text().startswith("#")] == []


def test_every_key_has_a_comment_where_it_is_said_first():
    assert len(CHECKED) > 100
    bare = {path.relative_to(CONF): set(keys(path)) - commented(path) - {"defaults"} for path in CHECKED}
    assert {path: said for path, said in bare.items() if said} == {}


def test_a_key_without_a_comment_is_found(tmp_path):
    (tmp_path / "_base.yaml").write_text("a: 1  # one\nb:  # two\n  c: 3  # three\n")
    own = tmp_path / "own.yaml"
    own.write_text("# Own.\ndefaults: [_base, _self_]\na: 2\nb: {c: 4, d: 5}\n")
    assert set(keys(own)) - commented(own) == {"defaults", "b.d"}


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda p: p.stem)
def test_an_experiment_starts_with_its_command_and_has_its_files_name(path: Path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert f"experiment={path.stem}" in lines[1]
    assert yaml.safe_load(path.read_text())["name"] == path.stem


def test_every_loss_has_a_file_of_its_name():
    variants = {"confidence_paper"}  # other settings of a loss that has a file
    assert {path.stem for path in (CONF / "loss").glob("*.yaml")} == {*LOSSES, *variants}
