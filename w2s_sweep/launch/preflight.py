"""Checks every override of a command line before Hydra composes anything; all wrong ones are reported at once."""

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.core.override_parser.types import Sweep as HydraSweep
from hydra.errors import HydraException

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.cells.own_model import ROLES
from w2s_sweep.cells.parse import hints_of, misfit
from w2s_sweep.config.choice import classes_of
from w2s_sweep.config.read import is_list
from w2s_sweep.errors import ConfigError, unknown
from w2s_sweep.launch.flags import as_words, config_path, read_flags, sweeps_shown
from w2s_sweep.launch.hub_choice import as_choice, problem_of
from w2s_sweep.launch.other_names import elsewhere, of_peft
from w2s_sweep.launch.places import SEARCHPATH, Places, find_places
from w2s_sweep.launch.slurm.settings import STAGES, StageSettings, stage_names
from w2s_sweep.launch.stray import in_quotes, is_cut_off, stray_words
from w2s_sweep.methods.base import Method, NamedField, named_fields
from w2s_sweep.modules import import_all

PACKAGES = {"model": ROLES}
"""Groups that are used in a package: `model@weak=NAME`."""


def check_words(argv: Sequence[str], conf: Path, program: Path = Path("launch.py")) -> list[str]:
    """The command line as Hydra should see it; raises ConfigError with all overrides that cannot be meant.

    Flags may stand anywhere; `--config-dir`, `--config-path` and `hydra.searchpath` lead to own groups and choices. A
    value for a field of the schema needs no `+`, whether or not a YAML file names it.
    """
    said = read_flags(argv)
    overrides: list[str] = said.overrides
    if said.shell_completion:  # these words are no settings: install=bash, query=bash
        return as_words(said, overrides, program)
    overrides += _of_environment(overrides)
    searchpath = [line for line in overrides if line.lstrip("+").startswith(f"{SEARCHPATH}=")]
    places = find_places(said, config_path(said, program) or str(conf), searchpath)
    parser = OverridesParser.create(config_loader=places.loader)
    import_all(_modules(overrides, places, parser))
    problems: list[str] = []
    misfits: list[str] = []
    parsed: list[Override] = []
    typed = tuple(overrides)
    for place, line in enumerate(typed):
        try:
            override = _parse(line, parser)
            if (said_of_group := as_choice(line, override, _values_of_role(override))) != line:
                overrides[place] = line = said_of_group
                override = _parse(line, parser)
            parsed.append(override)
        except HydraException as error:
            if (stray := stray_words(typed, place)) is not None or is_cut_off(typed, place):
                problems += stray or []
                continue
            text = " ".join(str(error).split())
            problems.append(f"{line!r}: cannot be read as key=value ({text}).{_with_quotes(line, parser)}")
            continue
        found = _problems(override, places, overrides)
        problems += found
        if not found and _sets_a_field(override, places):
            overrides[place] = f"++{line.lstrip('+')}"
            misfits += _value_problems(override)
        elif not found and f"{override.key_or_group}.".startswith(f"{STAGES}."):
            overrides[place] = f"++{line.lstrip('+')}"  # the YAML names the usual ones alone
    problems += sweeps_shown(said, parsed)
    if problems:
        raise ConfigError(problems + misfits)  # alone, misfits are told after composition, with all that it finds
    return as_words(said, _keep_last(overrides), program)


def _parse(line: str, parser: OverridesParser) -> Override:
    """One override. Of one line alone Hydra's parser leaves out the loader, which glob() takes its choices from (see
    `CachingConfigLoader`)."""
    override = parser.parse_override(line)
    override.config_loader = parser.config_loader
    return override


def _of_environment(overrides: Sequence[str]) -> list[str]:
    """`store`, where the command line has none and $W2S_STORE names one, as for `w2s`: it counts more than files do."""
    store = os.environ.get("W2S_STORE")
    said = any(line.lstrip("+").startswith("store=") for line in overrides)
    return [in_quotes("store", store)] if store and not said else []


def _modules(overrides: Sequence[str], places: Places, parser: OverridesParser) -> list[str]:
    """The setting `modules`, as far as it is plain before Hydra has composed: of the command line, else of the chosen
    experiments, else of files that always count. What else composition finds is imported then."""
    said: list[Any] = []
    for line in overrides:
        if line.lstrip("+").startswith("modules="):
            with suppress(HydraException):  # told with all other lines that cannot be read
                said = [_parse(line, parser).value()]
    for name in () if said else _experiments(overrides, parser):
        said += places.values(f"experiment/{name}", "modules")
    said = said or places.values("local/default", "modules") or places.values(places.name, "modules")
    found = [str(one) for value in said if is_list(value) for one in value]
    return [one for one in found if "${" not in one]


def _experiments(overrides: Sequence[str], parser: OverridesParser) -> list[str]:
    """The files of the group `experiment` that a command line chooses."""
    names: list[str] = []
    for line in overrides:
        if line.lstrip("+").startswith("experiment="):
            with suppress(HydraException):
                names += _values(_parse(line, parser))
    return names


def _keep_last(overrides: Sequence[str]) -> list[str]:
    """A field that is set twice has the value that stands last; a sweeper would take the two for two settings."""
    last = {line.partition("=")[0]: place for place, line in enumerate(overrides) if line.startswith("++")}
    return [line for place, line in enumerate(overrides) if last.get(line.partition("=")[0], place) == place]


def _sets_a_field(override: Override, places: Places) -> bool:
    key = override.key_or_group
    hydras = key == "hydra" or key.startswith(("hydra.", "hydra/"))
    return not (hydras or override.is_delete() or override.package or places.is_group(key))


def _problems(override: Override, places: Places, said: Sequence[str]) -> list[str]:
    key = override.key_or_group
    if key.startswith(f"{STAGES}.") and (wrong := _stage_problems(key)):
        return wrong
    if key.startswith("hydra.launcher.") and (not override.is_add() or key.startswith(f"{STAGES}.")):
        chosen = [line.partition("=")[2] for line in said if line.startswith("hydra/launcher=")]
        known, name = places.launcher_fields(chosen[-1] if chosen else None), key.split(".")[2]
        wrong = known and name not in known
        return [elsewhere("hydra.launcher", name) or unknown("hydra.launcher", name, known)] if wrong else []
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        return _choice_problems(override, key, places) if key != "hydra" and places.is_group(key) else []
    if override.is_delete():
        return []
    if override.package is not None or places.is_group(key):
        return _group_problems(override, key, places)
    return _key_problems(override, key, places)


def _stage_problems(key: str) -> list[str]:
    """Resources of a kind or a role of stages."""
    name, _, resource = key.removeprefix(f"{STAGES}.").partition(".")
    if name not in stage_names():
        return [unknown(STAGES, name, stage_names())]
    known = hints_of(StageSettings)
    return [unknown(f"{STAGES}.{name}", resource, known)] if resource and resource not in known else []


def _group_problems(override: Override, key: str, places: Places) -> list[str]:
    if not places.is_group(key):
        return [unknown("config group", key, places.groups())]
    packages = PACKAGES.get(key, ())
    if packages and override.package not in packages:
        wanted = " or ".join(f"{key}@{package}=NAME" for package in packages)
        return [f"{override.input_line}: a {key} is chosen as {wanted}."]
    return _choice_problems(override, key, places)


def _choice_problems(override: Override, key: str, places: Places) -> list[str]:
    options = places.options(key)
    if isinstance(override.value(), Glob) and not list(_values(override)):
        return [f"{override.input_line}: no choice of {key} is like that. Allowed: {', '.join(options)}."]
    shown = key if override.package is None else f"{key}@{override.package}"
    names = [name for name in _values(override) if name not in {*options, "null"}]
    if key == "model":
        found = [(name, problem_of(override.package, name, places.folders(key))) for name in names]
        return [problem or unknown(shown, name, options) for name, problem in found if problem is not None]
    return [unknown(shown, name, options) for name in names]


def _values(override: Override) -> Iterable[str]:
    """The option names that an override or sweep of a group asks for."""
    value = override.value()
    if override.is_sweep_override():
        return [str(v) for v in override.sweep_string_iterator()] if override.is_discrete_sweep() else []
    return ["null" if value is None else str(value)]


def _values_of_role(override: Override) -> Iterable[str]:
    """The names that may be models; of all other settings nothing, whose values may be more than can be listed."""
    return _values(override) if override.key_or_group in ROLES else []


def _key_problems(override: Override, key: str, places: Places) -> list[str]:
    """A dotted name must lead to a field of the schema."""
    parts = key.split(".")
    for place, part in enumerate(parts):
        owners, where = _owners(parts[:place]), ".".join(parts[:place])
        if not owners and (whole := _whole(parts[:place])):
            entry = f"{{{whole.group}: NAME, {part}: VALUE}}"
            return [f"{key}: {where} is set as a whole, as in {where}={f'[{entry}]' if whole.many else entry}."]
        if not owners:
            return [f"{key}: {where} is a single value and has no fields."]
        names = sorted({f.name for cls in owners for f in fields(cls)})
        if part not in names and where:
            return [of_peft(where, part) or unknown(where, part, names)]
        if part not in names:
            return [elsewhere("setting", part) or _deeper(part, names) or _unknown_setting(part, names, places)]
    if _owners(parts) and not isinstance(override.value(), dict | HydraSweep | Glob) and override.value() is not None:
        name = f"model@{key}" if key in PACKAGES["model"] else key
        return [
            f"{override.input_line}: {key} is a group of settings; choose one with {name}=NAME or set {key}.FIELD=..."
        ]
    return []


def _deeper(name: str, settings: Iterable[str]) -> str:
    """Where a name is a field of, that was said without what stands before it; empty where nothing has it."""
    found = [f"{one}.{name}" for one in settings if any(name in hints_of(cls) for cls in _owners([one]))]
    return f"setting: {name!r} is none. It is {' or '.join(found)}." if found else ""


def _unknown_setting(name: str, settings: Iterable[str], places: Places) -> str:
    """What may stand at the begin of an override: a setting, or a group that choices are made from."""
    return unknown("setting", name, {*settings, *places.groups()} - {"local"})


def _whole(path: Sequence[str]) -> NamedField | None:
    """The field of a method that `path` leads to, where it is set as a whole."""
    *owner, name = path or [""]
    found = (_fields_by_name(cls).get(name) for cls in _owners(owner))
    return next((field for field in found if field is not None), None)


def _value_problems(override: Override) -> list[str]:
    """A single value must fit its field in a class that may be chosen; lists and ranges are not looked at."""
    key, value = override.key_or_group, override.value()
    *path, name = key.split(".")
    owners = [
        cls for cls in _owners(path) if name in hints_of(cls).keys() - _fields_by_name(cls) and not _classes(cls, name)
    ]
    said = list(override.sweep_iterator()) if isinstance(value, ChoiceSweep) and value.simple_form else [value]
    found: list[str] = []
    for one in (v.text if isinstance(v, QuotedString) else v for v in said):
        if isinstance(one, bool | int | float | str) and "${" not in str(one) and one != "???":
            wrong = [misfit(hints_of(cls)[name], key, one) for cls in owners]
            found += wrong[:1] if all(wrong) else []
    return found


def _with_quotes(line: str, parser: OverridesParser) -> str:
    """How a value that Hydra's grammar cannot read is said: its quotes inside those of the shell."""
    key, _, value = line.partition("=")
    quoted = in_quotes(key, value)
    with suppress(HydraException):
        parser.parse_override(quoted if value else line)
        return f" Quote the value, and all of it for the shell: {shlex.quote(quoted)}."
    return " Quote special characters."


def _owners(path: Sequence[str]) -> list[type]:
    """The configuration classes that the dotted name `path` may hold; of nothing: those of a cell and a sweep."""
    owners: list[type] = [Cell, Sweep]
    for part in path:
        owners = [m for cls in owners for m in _classes(cls, part)]
    return owners


def _classes(cls: type, name: str) -> list[type]:
    """The configuration classes that the field `name` of `cls` may hold; none for one that is set as a whole."""
    if name in _fields_by_name(cls):
        return []
    return [one for one in classes_of(hints_of(cls).get(name)) if is_dataclass(one)]


def _fields_by_name(cls: type) -> Mapping[str, NamedField]:
    """The fields that are set as a whole: models and datasets of a method, and lists of them, named by their files."""
    method = issubclass(cls, Method)
    return {name: field for name, field in named_fields(cls).items() if method or field.many}
