"""Results as the plain data that a tracker takes."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from w2s_sweep.kinds import TRAINED
from w2s_sweep.metrics import METRICS
from w2s_sweep.results.records import ROLES, Group, Results, Row
from w2s_sweep.store import Store
from w2s_sweep.tracking.base import Outcome, TrainedStage
from w2s_sweep.tracking.naming import run_config, tags_of

HEADS = (
    "dataset", "weak", "strong", "strong params", "setting", "seeds",
    "acc weak", "acc student", "acc ceiling", "gap", "gap low", "gap high",
    "pgr", "pgr low", "pgr high", "unidentified",
)  # fmt: skip


def outcome_of(store: Store, results: Results) -> Outcome:
    """What a tracker mirrors of collected results, and of the figures and the report that were written of them."""
    report = store.sweep(results.sweep) / "report.html"
    return Outcome(
        sweep=results.sweep,
        stages=_trained_stages(store, results.record),
        scores=student_scores(results),
        numbers=_numbers(results),
        heads=HEADS,
        table=[_line(results, g) for g in results.groups],
        by_size=_by_size(results),
        figures=sorted((store.sweep(results.sweep) / "figures").glob("*.png")),
        report=report if report.is_file() else None,
    )


def student_scores(results: Results) -> dict[str, dict[str, float]]:
    """Student key -> pgr, gain, gap, acc of each role, further metrics; medians of cells that share it.

    These are of one trained model: `pgr` is its own gain / gap where the ceiling is better than the supervisor.
    """
    cells: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.state == "done":
            cells.setdefault(row.student_key, []).append(row)
    return {key: _further(rows) | _scores(rows) for key, rows in cells.items()}


def _further(rows: Sequence[Row]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row.details)
    return _medians({name: [row.details[name].value for row in rows if name in row.details] for name in names})


def _scores(rows: Sequence[Row]) -> dict[str, float]:
    metric = METRICS[rows[0].metric]
    values = {f"{metric.short or metric.name}/{role}": [getattr(row, role).value for row in rows] for role in ROLES}
    gaps = {name: [getattr(row, name).value for row in rows] for name in ("gain", "gap")}
    return _medians(values | gaps | {"pgr": [row.ratio for row in rows]})


def _medians(values: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    """The median of what is known under each name; names of which nothing is known are left out."""
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: float(median(found)) for name, found in known.items() if found}


def _trained_stages(store: Store, record: Mapping[str, Any]) -> list[TrainedStage]:
    """Every finished trained stage of the sweep, with the settings of the first cell that uses it."""
    models: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for entry in record["cells"]:
        for role, key in entry["roles"].items():
            cell = entry["cell"]
            models.setdefault(key, (cell["weak" if role == "weak" else "strong"], cell["dataset"]))
    found: list[TrainedStage] = []
    for key, about in record["stages"].items():
        if about["kind"] not in TRAINED or not store.done(key):
            continue
        model, dataset = models.get(key, ({}, {}))
        config = run_config(key, about["kind"], store.preimage(key)["settings"], model, dataset)
        found.append(TrainedStage(key, about["label"], about["role"], store.path(key), config, tags_of(dataset)))
    return found


def _numbers(results: Results) -> dict[str, float]:
    """Medians over cells, of PGR over settings: one that is not identified is in none."""
    rows, groups = [row for row in results.rows if row.state == "done"], [g for g in results.groups if g.seeds]
    scores = {name: value for name, value in (_scores(rows) if rows else {}).items() if name != "pgr"}
    known = scores | _medians({"pgr": [g.pgr.value for g in groups]})
    return {
        "cells": len(results.rows),
        "cells/done": len(rows),
        "cells/failed": results.count("failed"),
        "pgr/unidentified": sum(bool(g.unidentified) for g in groups),
        **{f"median/{name}": value for name, value in known.items()},
        **known,
    }


def _line(results: Results, g: Group) -> list[Any]:
    """What stands under `HEADS`."""
    scores = [g.weak.value, g.student.value, g.ceiling.value]
    scores += [end for found in (g.gap, g.pgr) for end in (found.value, found.low, found.high)]
    about = [g.dataset, g.weak_model, g.strong_model, g.strong_params, results.variant(g), len(g.seeds)]
    return [*about, *scores, g.unidentified]


def _by_size(results: Results) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for g in results.groups:
        if g.pgr.value is not None:
            series = f"pgr/{g.dataset}/{g.weak_model}/{results.variant(g)}"
            found.setdefault(g.strong_params, {})[series] = g.pgr.value
    return found
