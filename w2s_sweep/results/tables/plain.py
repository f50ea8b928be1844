"""The results as plain JSON: cells, groups, medians, comparisons, and where they come from. No NaN, nothing rounded."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import compress
from operator import add
from typing import Any, cast

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.join import origins
from w2s_sweep.results.records import Group, Median
from w2s_sweep.results.tables.arrow import cell_table
from w2s_sweep.results.tables.columns import detail_names
from w2s_sweep.results.tables.texts import Texts

_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: values are many


def as_json(results: Results, cells: Texts | None = None) -> str:
    """One JSON object; the names are those of the table's columns. `cells`: that table; None makes it."""
    blocks = {
        "sweeps": map(_dump, origins(results.record)),
        "cells": _cells(results, Texts.of(cell_table(results)) if cells is None else cells),
        "groups": (_dump(_plain(g)) for g in results.groups),
        "medians": (_dump(_plain(m)) for m in results.medians),
        "comparisons": (_dump(_comparison(c)) for c in results.comparisons),
    }
    # An item a line: indented, Python's own encoder would write it, at a tenth of the speed.
    texts = [f'"{name}": [' + ",\n".join(items) + "]" for name, items in blocks.items()]
    return "{" + ",\n".join([*texts, f'"failures": {_dump(results.failures)}']) + "}\n"


def _cells(results: Results, cells: Texts) -> Iterator[str]:
    """What columns of the table say of each cell, without those of further metrics that it does not have."""
    having = [frozenset(row.details) for row in results.rows]
    every = detail_names(frozenset[str]().union(*having))
    absent = {details: every - detail_names(details) for details in {*having}}
    known = {details: [name not in names for name in cells.names] for details, names in absent.items()}
    heads = [f"{_dump(name)}: " for name in cells.names]
    for row, details in zip(zip(*_columns(cells), strict=True), having, strict=True):
        yield "{" + ", ".join(compress(map(add, heads, row), known[details])) + "}"


def _columns(cells: Texts) -> Iterator[list[str]]:
    for name in cells.names:
        if name not in cells.numbers:
            yield _dump_each(cells.others[name])
        elif not {"inf", "-inf"}.isdisjoint(texts := cells.numbers[name]):
            raise ValueError(f"{name} is infinite in a cell, and JSON has no such number.")
        else:
            yield [text or "null" for text in texts]


def _dump_each(values: Sequence[Any]) -> list[str]:
    """Each distinct value is encoded once, where all of them are texts or whole numbers: of these none that look
    otherwise are equal."""
    if {*map(type, values)} <= {str, int, type(None)}:
        texts = {value: _dump(value) for value in {*values}}
        return [texts[value] for value in values]
    return list(map(_dump, values))


def _plain(item: Group | Median) -> dict[str, Any]:
    return {name: _value(getattr(item, name)) for name in (f.name for f in fields(item))}


def _value(value: Any) -> Any:
    if isinstance(value, Interval):
        return {"value": value.value, "low": value.low, "high": value.high}
    if isinstance(value, dict):
        return {name: _value(inner) for name, inner in cast(dict[str, Any], value).items()}
    return list(cast(tuple[Any, ...], value)) if isinstance(value, tuple) else value


def _comparison(c: Comparison) -> dict[str, Any]:
    about = {name: getattr(c, name) for name in ("dataset", "pair", "loss", "method", "finetune")}
    base = {name: getattr(c.first, name) for name in ("loss", "method", "finetune")}
    numbers = {"tasks": c.tasks, "pairs": c.pairs, "better": c.better, "over": c.over}
    metric = {"metric": c.second.metric, "difference": _value(c.difference)}
    return about | {"baseline": base} | metric | numbers | {"test": _test(c.test)}


def _test(test: PairedTest | None) -> dict[str, Any] | None:
    return None if test is None else {f.name: getattr(test, f.name) for f in fields(test)}
