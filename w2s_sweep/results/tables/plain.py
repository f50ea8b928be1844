"""The results as plain JSON: cells, groups, medians, comparisons, and where they come from. No NaN, nothing rounded."""

import json
from dataclasses import fields
from typing import Any, cast

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.join import origins
from w2s_sweep.results.records import Group, Median
from w2s_sweep.results.tables.columns import flatten


def as_json(results: Results) -> str:
    """One JSON object; the names are those of the table's columns."""
    content = {
        "sweeps": origins(results.record),
        "cells": [flatten(row) for row in results.rows],
        "groups": [_plain(g) for g in results.groups],
        "medians": [_plain(m) for m in results.medians],
        "comparisons": [_comparison(c) for c in results.comparisons],
        "failures": results.failures,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
