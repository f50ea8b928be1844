"""What the columns of every table are: a field of a record is a column, or three where it is an interval.

Files, the tables of `w2s_sweep.load` and the page docs/COLUMNS.md are made of these; types and names do not depend on
which cells are finished.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, cast, get_type_hints

import pyarrow  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.metrics import Interval
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.curve_point import CurvePoint
from w2s_sweep.results.records import NONE, Group, Row, State
from w2s_sweep.results.tables.further import all_columns
from w2s_sweep.results.usage import Usage

pa: Any = pyarrow  # has no type stubs
Item = Row | Group | Comparison | CurvePoint | Usage

TYPES: Mapping[Any, Any] = {
    str: pa.string(),
    State: pa.string(),
    int: pa.int64(),
    int | None: pa.int64(),
    float: pa.float64(),
    float | None: pa.float64(),
    Interval: pa.float64(),
    tuple[int, ...]: pa.list_(pa.int64()),
    tuple[float, ...]: pa.list_(pa.float64()),
    tuple[str, ...]: pa.list_(pa.string()),
}
"""Type of a field -> type of its column."""
FIRST = ("cell", "group", "dataset")
COMPARED = ("weak_model", "strong_model", "loss", "method", "finetune", "metric")
"""What a comparison says of its second setting."""
BASELINE = ("loss", "method", "finetune")
"""What it says of its first."""
COUNTED = ("tasks", "pairs", "better", "over")


@dataclass(frozen=True)
class Column:
    """A column of a table, or the three of an interval."""

    name: str
    type: Any
    """Of Arrow."""
    about: str
    """What it is, in a line."""
    interval: bool = False
    """Whether there are `NAME_low` and `NAME_high` beside it."""

    @property
    def names(self) -> list[str]:
        return [self.name, f"{self.name}_low", f"{self.name}_high"] if self.interval else [self.name]


def cell_columns(details: Iterable[str]) -> list[Column]:
    """The columns of a row per cell. `details`: the further metrics, by their names in `Row.details`."""
    return [*_of_fields(Row), *_of_details(details)]


def group_columns(details: Iterable[str]) -> list[Column]:
    """The columns of a row per group of cells that differ in the seed only."""
    return [*_of_fields(Group), *_of_details(details)]


def curve_columns() -> list[Column]:
    """The columns of a row per group, role and evaluation."""
    return _of_fields(CurvePoint)


def usage_columns() -> list[Column]:
    """The columns of a row per kind of work."""
    return _of_fields(Usage)


def comparison_columns() -> list[Column]:
    """The columns of a row per pair of settings."""
    rows, own = field_docs(Row), field_docs(Comparison)
    found = [Column("dataset", pa.string(), own["dataset"])]
    found += [Column(name, pa.string(), rows[name]) for name in COMPARED]
    found += [Column(f"baseline_{name}", pa.string(), f"`{name}` of what it is compared with.") for name in BASELINE]
    found += [Column(name, pa.string() if name == "over" else pa.int64(), own[name]) for name in COUNTED]
    found.append(Column("difference", pa.float64(), own["difference"], interval=True))
    hints, docs = get_type_hints(PairedTest), field_docs(PairedTest)
    found += [Column(f"test_{name}", TYPES[hint], docs[name]) for name, hint in hints.items()]
    return [*found, Column("students", TYPES[tuple[str, ...]], own["students"])]


def known_details() -> dict[str, str]:
    """Name of every further metric -> what it is."""
    return {
        name: f"{block.title} {head}: {block.about}." for block in all_columns() for name, head in block.heads.items()
    }


def _of_fields(kind: type[Row | Group | CurvePoint | Usage]) -> list[Column]:
    hints, docs = get_type_hints(kind), field_docs(kind)
    names = [name for name in _names(kind) if name != "details"]
    types = {name: pa.string() if name == "overrides" else TYPES[hints[name]] for name in names}
    return [Column(name, types[name], docs[name], hints[name] is Interval) for name in names]


def _of_details(names: Iterable[str]) -> list[Column]:
    docs, found = known_details(), _by_column(names).items()
    return [Column(name, pa.float64(), docs.get(keys[0], ""), interval=True) for name, keys in found]


def _names(kind: type[Item]) -> list[str]:
    own = [f.name for f in fields(kind)]
    return [*(name for name in FIRST if name in own), *(name for name in own if name not in FIRST)]


def _plain(detail: str) -> str:
    return detail.replace("/", "_")


def columns_of(items: Sequence[Item]) -> dict[str, list[Any]]:
    """Column name -> its values; column by column, as a table of ten thousand cells has three million of them."""
    if not items or isinstance(items[0], Comparison):
        rows = [_comparison(item) for item in items if isinstance(item, Comparison)]
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    found: dict[str, list[Any]] = {}
    for name in _names(type(items[0])):
        values = [getattr(item, name) for item in items]
        if name == "details":
            for plain, keys in _by_column(key for details in values for key in details).items():
                found |= _interval_columns(plain, [_first_known(details, keys) for details in values])
        elif isinstance(values[0], Interval):
            found |= _interval_columns(name, values)
        else:
            found[name] = [" ".join(value) for value in values] if name == "overrides" else values
    return found


def detail_names(details: Iterable[str]) -> frozenset[str]:
    """The columns of further metrics."""
    return frozenset(f"{name}{end}" for name in map(_plain, details) for end in ("", "_low", "_high"))


def _by_column(details: Iterable[str]) -> dict[str, list[str]]:
    """Column -> the further metrics that are in it: as good as always one, but `a/b` and `a_b` share theirs."""
    found: dict[str, list[str]] = {}
    for detail in dict.fromkeys(details):
        found.setdefault(_plain(detail), []).append(detail)
    return found


def _first_known(details: Mapping[str, Interval], keys: Sequence[str]) -> Interval:
    if len(keys) == 1:
        return details.get(keys[0], NONE)
    return next((details[key] for key in keys if key in details and details[key].value is not None), NONE)


def _interval_columns(name: str, found: Sequence[Interval]) -> dict[str, list[float | None]]:
    values, lows, highs = [one.value for one in found], [one.low for one in found], [one.high for one in found]
    return {name: values, f"{name}_low": lows, f"{name}_high": highs}


def _comparison(c: Comparison) -> dict[str, Any]:
    about = {"dataset": c.dataset} | {name: getattr(c.second, name) for name in COMPARED}
    about |= {f"baseline_{name}": getattr(c.first, name) for name in BASELINE}
    about |= {name: getattr(c, name) for name in COUNTED} | _interval("difference", c.difference)
    about |= {f"test_{f.name}": None if c.test is None else getattr(c.test, f.name) for f in fields(PairedTest)}
    return about | {"students": c.students}


def _interval(name: str, interval: Interval) -> dict[str, float | None]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def field_docs(kind: type) -> dict[str, str]:
    """Name of every field and property of a dataclass, its bases' too, that has a docstring -> the docstring."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        found |= dict(_field_docs(cast(ast.ClassDef, tree).body))
    return {name: " ".join(text.split()) for name, text in found.items()}


def _field_docs(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(body):
        said = after.value if isinstance(after, ast.Expr) else None
        if isinstance(before, ast.AnnAssign) and isinstance(said, ast.Constant) and isinstance(said.value, str):
            yield cast(ast.Name, before.target).id, said.value
    for node in body:
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node.name, text
