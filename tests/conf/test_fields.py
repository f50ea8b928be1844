"""Every field of a configuration class stands in the YAML of its group, with the default that the class has."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from pydantic.fields import FieldInfo

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Finetune
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import HubSource, MadeUpSource, ScratchSource, Source, WheelSource
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.site import CONF
from w2s_sweep.launch.slurm.engine import SlurmEngine
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.losses import LOSSES
from w2s_sweep.methods import METHODS
from w2s_sweep.tracking import TRACKERS


def members(union: Any) -> dict[str, type]:
    """`name` or `kind` -> class, of a union whose members are told apart by it."""
    found = {}
    for cls in get_args(get_args(union)[0]):
        hints = get_type_hints(cls)
        found[get_args(hints.get("name") or hints["kind"])[0]] = cls
    return found


UNIONS = {
    "loss": dict(LOSSES.items()),
    "method": dict(METHODS.items()),
    "finetune": members(Finetune),
    "tracker": dict(TRACKERS.items()),
}
SOURCES = members(Source)
SINGLE: dict[str, type] = {"dataset": Dataset, "model": Model, "supervisor": Supervisor}
FILES = [(group, path.stem) for group in (*UNIONS, *SINGLE) for path in sorted((CONF / group).glob("[a-z]*.yaml"))]
DATASETS_ONLY = {(HubSource, "subset", "model.source")}
"""What the source of a model does not have."""
OWN: dict[str, type] = {
    "model/_base": Model,
    "model/_hub/source": HubSource,
    "model/_wheel/source": WheelSource,
    "model/_scratch/source": ScratchSource,
    "dataset/_base": Dataset,
    "supervisor/weak_model": Supervisor,
    "dataset/_hub/source": HubSource,
    "dataset/sums/source": MadeUpSource,
} | {f"{group}/{name}": cls for group, classes in UNIONS.items() for name, cls in classes.items()}
"""The file, or the part of one, that holds the defaults of a class."""


pytestmark = pytest.mark.usefixtures("composing")


def plain_of(config: DictConfig) -> dict[str, Any]:
    return {str(name): value for name, value in OmegaConf.to_container(config).items()}  # pyright: ignore[reportAttributeAccessIssue]


@cache
def contents() -> dict[str, Any]:
    """Group -> file -> what it says, with what it builds on; composed at once, since each composition takes time."""
    files = {*(f"{group}/{name}" for group, name in FILES), *("/".join(place.split("/")[:2]) for place in OWN)}
    chosen = [f"+{group}@{group}.{name}={name}" for group, name in (file.split("/") for file in sorted(files))]
    return plain_of(compose(overrides=chosen))


def content(group: str, name: str) -> dict[str, Any]:
    """A file of a group, with what it builds on."""
    return contents()[group][name]


def absent(cls: type, said: Mapping[str, Any], where: str) -> list[str]:
    """Fields of `cls`, and of the classes inside it, that a file does not have."""
    names = [f.name for f in fields(cls) if (cls, f.name, where) not in DATASETS_ONLY]
    found = [f"{where}.{name}" for name in names if name not in said]
    for name, value in said.items():
        inner = SOURCES[value["kind"]] if name == "source" else get_type_hints(cls).get(name)
        if is_dataclass(inner) and isinstance(inner, type):
            found += absent(inner, value, f"{where}.{name}")
    return found


def defaults(cls: type) -> dict[str, Any]:
    """Field -> its default as plain JSON, where it has one."""
    found = {}
    for f in fields(cls):
        value = f.default.get_default(call_default_factory=True) if isinstance(f.default, FieldInfo) else f.default
        if value is not MISSING:
            found[f.name] = plain(value)
    return found


def spoken(value: Any) -> Any:
    """Without groups of settings that are all null, which say nothing."""
    if not isinstance(value, dict):
        return value
    inner = {name: spoken(one) for name, one in value.items()}
    return {name: one for name, one in inner.items() if one is not None and one != {}}


def differing(cls: type, said: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field -> (default of the class, value of the YAML), where the two are not the same."""
    both = {name: (value, said[name]) for name, value in defaults(cls).items() if name in said}
    return {name: pair for name, pair in both.items() if spoken(pair[0]) != spoken(pair[1])}


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_field_stands_in_a_file_or_in_what_it_builds_on(group, name):
    said = content(group, name)
    cls = SINGLE[group] if group in SINGLE else UNIONS[group][said["name"]]
    assert absent(cls, said, group) == []


@pytest.mark.parametrize("place", OWN)
def test_a_default_is_the_same_in_the_class_and_in_its_file(place):
    group, name, *inner = place.split("/")
    said = content(group, name)
    assert differing(OWN[place], said[inner[0]] if inner else said) == {}


def test_the_settings_of_a_sweep():
    said = plain_of(compose("config"))
    assert {f.name for cls in (Cell, Sweep) for f in fields(cls)} == set(said)
    assert differing(Cell, said) | differing(Sweep, said) == {}


@pytest.mark.parametrize(("name", "classes"), [("local", [LocalEngine]), ("slurm", [SlurmEngine, Settings])])
def test_the_settings_of_a_launcher(name, classes):
    said = plain_of(compose(overrides=[f"+hydra/launcher@file={name}"]).file)
    names = {f.name for cls in classes for f in fields(cls) if f.init} - {"settings"}
    assert names | {"_target_"} == set(said)
    assert [differing(cls, said) for cls in classes] == [{}] * len(classes)


def test_what_differs_or_is_absent_is_found():
    said = content("finetune", "probe")
    assert differing(OWN["finetune/probe"], said | {"l2": 0.0}) == {"l2": (0.1, 0.0)}
    assert absent(Model, {k: v for k, v in content("model", "gpt2").items() if k != "adapt"}, "model") == [
        "model.adapt"
    ]
    source = {k: v for k, v in content("dataset", "sst2")["source"].items() if k != "subset"}
    assert absent(Dataset, content("dataset", "sst2") | {"source": source}, "dataset") == ["dataset.source.subset"]
