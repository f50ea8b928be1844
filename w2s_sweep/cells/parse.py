"""From composed plain dictionaries to frozen cells; every wrong setting of every cell is reported, at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, cast, get_args, get_type_hints

from pydantic import ValidationError

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.parsed import Parsed
from w2s_sweep.config.choice import classes_of
from w2s_sweep.config.finetune import Full
from w2s_sweep.config.plain import adapter
from w2s_sweep.errors import ConfigError, unknown

UNIONS = ("loss", "method", "finetune", "source", "tracker")
"""Settings that are one of several classes, told apart by `name` or `kind`."""


def field_names(cls: type) -> list[str]:
    return [f.name for f in fields(cls)]


def parse(composed: Sequence[Mapping[str, Any]]) -> tuple[list[Cell], Sweep]:
    """The cells of a sweep and what they share; raises ConfigError with the problems of all of them."""
    if not composed:
        raise ConfigError(
            ["the grid is empty: a swept setting has no values. Give each at least one, as in seed=0,1,2."]
        )
    problems: list[str] = []
    shared = _distinct([_part(c, SWEEP) for c in composed])
    sweep: Sweep | None = None
    for text in sorted(shared):
        sweep = _validate(Sweep, json.loads(text), problems)
    if len(shared) > 1:
        problems.append(f"{_differing(shared)}: must be the same for all cells of a sweep, so it cannot be swept over.")
    known = Parsed(problems)
    cells = [cell for c in composed if (cell := _cell(c, problems, known)) is not None]
    problems += [problem for cell in cells for problem in problems_of(cell)]
    problems += _large_supervisors(cells, sweep) + _lost_weights(cells, sweep)
    if problems or sweep is None:
        raise ConfigError(problems)
    return cells, sweep


def _large_supervisors(cells: Sequence[Cell], sweep: Sweep | None) -> list[str]:
    """Cells that `pairs` keeps out of a grid, where they are all there is."""
    if sweep is None or sweep.pairs == "all":
        return []
    return [
        f"pairs: smaller, but the supervisor {cell.weak.name} has {cell.weak.params:,} parameters and the student "
        f"{cell.strong.name} {cell.strong.params:,}. Choose others, or set pairs=all."
        for cell in cells
        if cell.weak is not None and cell.weak.params >= cell.strong.params
    ]


def _lost_weights(cells: Sequence[Cell], sweep: Sweep | None) -> list[str]:
    """Further rows are shown to stored weights."""
    if sweep is None or sweep.keep_weights:
        return []
    full = [cell for cell in cells if isinstance(cell.finetune, Full)]
    readers = ["tests"] if any(cell.tests for cell in full) else []
    readers += sorted({f"method={cell.method.name}" for cell in full if cell.method.reads_weights})
    return [
        f"keep_weights: finetune=full keeps no weights that {reader} could show further rows to. Set keep_weights=true."
        for reader in readers
    ]


CELL, SWEEP = frozenset(field_names(Cell)), frozenset(field_names(Sweep))


def _part(composed: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in composed.items() if name in names}


def _distinct(settings: Sequence[Mapping[str, Any]]) -> set[str]:
    """As JSON; what is of the same objects is written once."""
    objects = {tuple((name, id(value)) for name, value in one.items()): one for one in settings}
    return {json.dumps(one, sort_keys=True) for one in objects.values()}


def _cell(composed: Mapping[str, Any], problems: list[str], known: Parsed) -> Cell | None:
    if other := [name for name in composed if name not in CELL | SWEEP]:
        names = field_names(Cell) + field_names(Sweep)
        problems += [unknown("setting", name, names) for name in other]
    values = {name: known.locate(value, name) for name, value in _part(composed, CELL).items()}
    supervisor = values.get("supervisor")
    if isinstance(supervisor, Mapping) and cast(Mapping[str, Any], supervisor).get("labels") is not None:
        values["weak"] = None  # the default of its group, which nothing reads
    if (cell := known.cell(values)) is None:
        read = _validate(Cell, values, problems)
        return None if read is None else known.add(values, read)
    return cell


def _differing(texts: Iterable[str]) -> str:
    rows = [json.loads(text) for text in texts]
    return ", ".join(sorted(name for name in rows[0] if any(row[name] != rows[0][name] for row in rows)))


def _validate(cls: type, values: Mapping[str, Any], problems: list[str]) -> Any:
    """An instance of `cls`, or None with what is wrong appended to `problems`."""
    text = json.dumps(values)
    if '"???"' in text and (missing := _missing(values)):
        problems += [f"{name}: needs a value (the configuration says ???). Set {name}=..." for name in missing]
        return None
    try:
        try:
            return adapter(cls).validate_json(text)
        except ValidationError as error:
            return adapter(cls).validate_json(json.dumps(_with_numbers(values, error)))
    except ValidationError as error:
        problems += [_explain(cls, item) for item in _causes(error)]
    except ValueError as error:  # NaN or infinity cannot be written as JSON numbers that the schema accepts
        problems.append(f"{cls.__name__}: {error}")
    return None


TEXTS = ("int_type", "float_type", "bool_type")
"""Errors of texts where a number or a truth value is wanted."""


def _with_numbers(values: Mapping[str, Any], error: ValidationError) -> Any:
    """The values with numbers for texts of numbers where a number is wanted: all that the environment has is text.

    OmegaConf converts them so where it knows types, which it does not of `${oc.env:NAME}` in an untyped file.
    """
    changed: Any = json.loads(json.dumps(values))
    for item in error.errors(include_url=False):
        if item["type"] in TEXTS and isinstance(item["input"], str):
            _set(changed, item["loc"], _number(item["input"]))
    return changed


def _number(text: str) -> Any:
    try:
        found = json.loads(text.strip().lower())
    except ValueError:
        return text
    return found if isinstance(found, bool | int | float) else text


def _set(values: Any, location: Sequence[Any], value: Any) -> None:
    """Put a value where pydantic says, whose locations name the members of unions too."""
    *path, last = location
    for part in path:
        if isinstance(part, int) or part in cast(Mapping[str, Any], values):
            values = values[part]
    values[last] = value


def misfit(annotation: Any, path: str, value: Any) -> str:
    """What is wrong with `value` for a field of this type; empty where nothing is."""
    try:
        adapter(annotation).validate_json(json.dumps(value))
    except ValidationError as error:
        return _explain(object, _causes(error)[0], path)
    return ""


def _causes(error: ValidationError) -> list[dict[str, Any]]:
    """What is wrong, without what only follows: a list whose entries are wrong has too few right ones for pydantic."""
    items = [dict[str, Any](item) for item in error.errors(include_url=False)]
    places: list[tuple[Any, ...]] = [item["loc"] for item in items]

    def follows(place: tuple[Any, ...]) -> bool:
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    return [item for item in items if item["type"] != "too_short" or not follows(item["loc"])]


def _missing(values: Any, path: str = "") -> list[str]:
    if values == "???":
        return [path]
    if isinstance(values, Mapping):
        pairs = cast(Mapping[str, Any], values).items()
        return [hit for name, inner in pairs for hit in _missing(inner, f"{path}.{name}" if path else name)]
    return []


def _path(location: Sequence[Any]) -> str:
    """Dotted path without the tags that tell the members of a union apart."""
    parts: list[str] = []
    skip = False
    for part in location:
        if skip:
            skip = False
            continue
        parts.append(str(part))
        skip = part in UNIONS
    return ".".join(parts)


def _explain(cls: type, item: Mapping[str, Any], name: str = "") -> str:
    """One error of pydantic in a sentence, about the field `name` where that is not told by its location."""
    location = item["loc"]
    path, got, kind = name or _path(location), item["input"], item["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        owner = _owner(cls, location[:-1])
        return unknown(path, str(location[-1]), field_names(owner) if owner else []) + _belongs(cls, location)
    if kind == "union_tag_invalid":
        allowed = [tag.strip().strip("'") for tag in item["ctx"]["expected_tags"].split(",")]
        return unknown(f"{path}.{item['ctx']['discriminator'].strip(chr(39))}", str(item["ctx"]["tag"]), allowed)
    if kind == "literal_error":
        return unknown(
            path,
            str(got),
            [word.strip().strip("'") for word in item["ctx"]["expected"].replace(" or ", ",").split(",")],
        )
    if kind in ("missing", "missing_argument", "union_tag_not_found"):
        return f"{path}: is missing. Choose it with a config group or set it."
    if kind == "tuple_type":
        return f"{path}: got {got!r}, but it is a list, as in {path}=[{got}]."
    message = item["msg"][0].lower() + item["msg"][1:]
    return f"{path}: got {got!r}, but {message}."


def _owner(cls: type, location: Sequence[Any]) -> type | None:
    """The class that a location inside `cls` leads to."""
    owners, tagged = [cls], False
    for part in location:
        if isinstance(part, int):  # an entry of a list, whose field has led to the class of all entries
            continue
        if tagged:
            owners, tagged = [one for one in owners if part in _tags(one)], False
        else:
            owners = [inner for one in owners if part in hints_of(one) for inner in classes_of(hints_of(one)[part])]
            tagged = part in UNIONS
    owners = [one for one in owners if hints_of(one)]
    return owners[0] if len(owners) == 1 else None


def _belongs(cls: type, location: Sequence[Any]) -> str:
    """Which choices of a group have the field that the chosen one lacks; empty where none has."""
    group, field = str(location[0]), str(location[-1])
    if len(location) != 3 or group not in UNIONS:
        return ""
    classes = [one for one in classes_of(hints_of(cls).get(group)) if field in hints_of(one)]
    names = sorted({tag for one in classes for tag in _tags(one)})
    return f" {field} belongs to {', '.join(f'{group}={name}' for name in names)}." if names else ""


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """Field -> its type, with the metadata that `classes_of` reads; looked up once a class."""
    return get_type_hints(cls, include_extras=True) if hasattr(cls, "__dataclass_fields__") else {}


def _tags(cls: type) -> tuple[str, ...]:
    return get_args(hints_of(cls).get("name")) + get_args(hints_of(cls).get("kind"))
