"""The results as plain JSON: cells, groups, medians, comparisons, and where they come from. No NaN, nothing rounded."""

import json
from dataclasses import fields
from typing import Any, cast

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.join import origins
from w2s_sweep.results.records import Group, Median
from w2s_sweep.results.tables.columns import columns_of, detail_names


def as_json(results: Results) -> str:
    """One JSON object; the names are those of the table's columns."""
    blocks = {
        "sweeps": origins(results.record),
        "cells": _cells(results),
        "groups": [_plain(g) for g in results.groups],
        "medians": [_plain(m) for m in results.medians],
        "comparisons": [_comparison(c) for c in results.comparisons],
    }
    texts = [f'"{name}": {_lines(items)}' for name, items in blocks.items()]
    return "{" + ",\n".join([*texts, f'"failures": {_dump(results.failures)}']) + "}\n"


def _cells(results: Results) -> list[dict[str, Any]]:
    """What columns of the table say of each cell, without those of further metrics that it does not have."""
    columns = columns_of(results.rows)
    whole = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    having = [frozenset(row.details) for row in results.rows]
    every = detail_names(frozenset[str]().union(*having))
    absent = {details: every - detail_names(details) for details in set(having)}
    return [_without(cell, absent[details]) for cell, details in zip(whole, having, strict=True)]


def _without(cell: dict[str, Any], absent: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in cell.items() if name not in absent} if absent else cell


def _lines(items: list[dict[str, Any]]) -> str:
    """An item a line: indented, Python's own encoder would write it, at a tenth of the speed."""
    return "[" + ",\n".join(map(_dump, items)) + "]"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


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
