"""Results as the plain data that a tracker takes."""

import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distributions, version
from statistics import median
from typing import Any

from w2s_sweep.kinds import TRAINED
from w2s_sweep.metrics import METRICS, ROLES
from w2s_sweep.results.collected import Results
from w2s_sweep.results.curve_point import StudentStep
from w2s_sweep.results.join import origins
from w2s_sweep.results.records import Group, Row
from w2s_sweep.store import Store
from w2s_sweep.tracking.base import Outcome, TrainedStage
from w2s_sweep.tracking.history import EVALUATION
from w2s_sweep.tracking.naming import flat_numbers

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
        stages=_trained_stages(store, results),
        numbers=_numbers(results),
        provenance=_provenance(store, results),
        heads=HEADS,
        table=[_line(results, g) for g in results.groups],
        figures=sorted((store.sweep(results.sweep) / "figures").glob("*.png")),
        report=report if report.is_file() else None,
    )


def student_scores(results: Results) -> dict[str, dict[str, float | str]]:
    """Student key -> pgr, gain, gap, acc of each role with intervals, further metrics; medians of cells that share it.

    These are of one trained model: `pgr` is its own gain / gap where the ceiling is better than the supervisor. It has
    an interval where it is identified, else `pgr_unidentified` says why it is not.
    """
    cells: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.state == "done":
            cells.setdefault(row.student_key, []).append(row)
    return {key: _further(rows) | _scores(rows) | _intervals(rows) for key, rows in cells.items()}


def _intervals(rows: Sequence[Row]) -> dict[str, float | str]:
    """Ends of intervals under `NAME_low` and `NAME_high`, or why there is no PGR."""
    short = _short(rows[0])
    found = {f"{short}/{role}": [getattr(row, role) for row in rows] for role in ROLES}
    found |= {name: [getattr(row, name) for row in rows] for name in ("gain", "gap", "pgr")}
    ends = _medians({f"{name}_low": [one.low for one in values] for name, values in found.items()})
    ends |= _medians({f"{name}_high": [one.high for one in values] for name, values in found.items()})
    reasons = dict.fromkeys(row.unidentified for row in rows if row.unidentified)
    return {**ends, **({"pgr_unidentified": "; ".join(reasons)} if reasons else {})}


def _short(row: Row) -> str:
    return METRICS[row.metric].short or METRICS[row.metric].name


def _further(rows: Sequence[Row]) -> dict[str, float | str]:
    names = dict.fromkeys(name for row in rows for name in row.details)
    return {**_medians({name: [row.details[name].value for row in rows if name in row.details] for name in names})}


def _scores(rows: Sequence[Row]) -> dict[str, float]:
    values = {f"{_short(rows[0])}/{role}": [getattr(row, role).value for row in rows] for role in ROLES}
    gaps = {name: [getattr(row, name).value for row in rows] for name in ("gain", "gap")}
    return _medians(values | gaps | {"pgr": [row.ratio for row in rows]})


def _medians(values: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    """The median of what is known under each name; names of which nothing is known are left out."""
    defined = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: float(median(found)) for name, found in defined.items() if found}


def _trained_stages(store: Store, results: Results) -> list[TrainedStage]:
    """Every finished trained stage of the sweep."""
    scores, users, students = student_scores(results), _users(results), _students(results)
    found: list[TrainedStage] = []
    for key, about in results.record["stages"].items():
        if about["kind"] not in TRAINED or not store.is_done(key):
            continue
        used = users.get(key, [])
        cell: dict[str, Any] = results.record["cells"][used[0][1]]["cell"] if used else {}
        dataset: str | None = cell.get("dataset", {}).get("name")
        found.append(
            TrainedStage(
                key=key,
                label=about["label"],
                role=about["role"],
                folder=store.path(key),
                config=_config(key, about["kind"], about["role"], store.preimage(key)["settings"], cell),
                place=_place(results, used),
                curve=tuple(_curve(results, students.get(key, []))),
                scores=scores.get(key, {}),
                partners=_partners(students.get(key, [])),
                tags=() if dataset is None else (dataset,),
            )
        )
    return found


Users = Mapping[str, Sequence[tuple[str, int]]]


def _users(results: Results) -> Users:
    """Key -> the cells that use the stage, each with the role that it plays there."""
    found: dict[str, list[tuple[str, int]]] = {}
    for i, entry in enumerate(results.record["cells"]):
        for role, key in entry["roles"].items():
            found.setdefault(key, []).append((role, i))
    return found


def _place(results: Results, used: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """What a stage is in this sweep: its cells, its roles, and of a student its setting."""
    place: dict[str, Any] = {"cells": " ".join(str(cell) for cell in dict.fromkeys(cell for _, cell in used))}
    place["roles"] = " ".join(dict.fromkeys(role for role, _ in used))
    if any(role == "student" for role, _ in used):
        place["setting"] = results.variant(results.rows[used[0][1]])
    return place if used else {}


def _students(results: Results) -> dict[str, list[Row]]:
    """Student key -> its cells, finished or not."""
    found: dict[str, list[Row]] = {}
    for row in results.rows:
        found.setdefault(row.student_key, []).append(row)
    return found


def _partners(rows: Sequence[Row]) -> dict[str, str]:
    """Of a student's cells: role -> key of its supervisor and ceiling."""
    found = {role: [getattr(row, f"{role}_key") for row in rows] for role in ("weak", "ceiling")}
    return {role: next(filter(None, keys)) for role, keys in found.items() if any(keys)}


def _curve(results: Results, rows: Sequence[Row]) -> Iterator[tuple[int, dict[str, float]]]:
    """The evaluations of a student beside the supervisor and the ceiling that its cells compare it with.

    Agreement where all cells have one supervisor, PGR where they have one ceiling and metric as well. All of the one
    stand before all of the other: a sweep whose cells agree on more adds rows to what another one has sent.
    """
    steps = next((results.steps[row.cell] for row in rows if row.cell in results.steps), ())
    if len({row.weak_key for row in rows}) != 1:
        return
    yield from ((one.step, _drop_unknown(_agreement(one))) for one in steps)
    if len({(row.ceiling_key, row.metric) for row in rows if row.ceiling_key}) == 1:
        yield from ((one.step, _drop_unknown(_recovery_of(one))) for one in steps)


def _agreement(one: StudentStep) -> dict[str, float | None]:
    names = ("agreement", "agreement_supervisor_right", "agreement_supervisor_wrong")
    return {f"{EVALUATION}/{name}": getattr(one, name) for name in names}


def _recovery_of(one: StudentStep) -> dict[str, float | None]:
    return {"pgr": one.ratio} | {f"{EVALUATION}/{role}": getattr(one, role) for role in ROLES}


def _drop_unknown(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


OF_ROLE: Mapping[str, tuple[str, ...]] = {
    "weak": ("weak",),
    "ceiling": ("strong",),
    "student": ("weak", "strong", "method", "loss"),
}
"""Role -> groups of settings of a cell that describe the stage, whichever cell uses it."""


def _config(
    key: str, kind: str, role: str, settings: Mapping[str, Any], cell: Mapping[str, Any]
) -> dict[str, bool | int | float | str]:
    """The flat configuration of a stage's run: groups of its cell, what its key hashes, and what it is called."""
    groups = {name: cell[name] for name in (*OF_ROLE.get(role, ()), "finetune") if name in cell}
    dataset = cell.get("dataset", {})
    named = {"dataset": dataset.get("name"), "seed": cell.get("seed"), "metric": cell.get("metric")}
    if role == "student":
        named["setting"] = " · ".join(str(cell[name]["name"]) for name in ("method", "loss", "finetune"))
    about = {
        "key": key,
        "kind": kind,
        "role": role,
        **{name: value for name, value in named.items() if value is not None},
    }
    return flat_numbers({"stage": settings}) | flat_numbers(groups) | flat_numbers(about)


def _provenance(store: Store, results: Results) -> dict[str, str]:
    """Where a sweep comes from, as texts."""
    found: dict[str, str] = {"store": str(store.root), "versions/python": platform.python_version()}
    for origin in origins(results.record):
        code: Mapping[str, Any] = origin.get("code") or {}
        said = {"command": shlex.join(origin.get("command") or ()), "created": origin.get("created")}
        said |= {"commit": code.get("commit"), "changed": code.get("changed"), "version": code.get("version")}
        found |= {name: str(value) for name, value in said.items() if value not in (None, "")}
    return found | {f"versions/{name}": version(name) for name in PACKAGES if _is_installed(name)}


PACKAGES = ("torch", "transformers", "peft", "numpy")
"""Whose versions may show in results."""


def _is_installed(name: str) -> bool:
    return any(True for _ in distributions(name=name))


def _numbers(results: Results) -> dict[str, float]:
    """Medians over cells, of PGR over settings: one that is not identified is in none."""
    rows, groups = [row for row in results.rows if row.state == "done"], [g for g in results.groups if g.seeds]
    scores = {name: value for name, value in (_scores(rows) if rows else {}).items() if name != "pgr"}
    medians = scores | _medians({"pgr": [g.pgr.value for g in groups]})
    return {
        "cells": len(results.rows),
        "cells/done": len(rows),
        "cells/failed": results.count("failed"),
        "pgr/unidentified": sum(bool(g.unidentified) for g in groups),
        **{f"median/{name}": value for name, value in medians.items()},
        **medians,
    }


def _line(results: Results, g: Group) -> list[Any]:
    """What stands under `HEADS`."""
    scores = [g.weak.value, g.student.value, g.ceiling.value]
    scores += [end for found in (g.gap, g.pgr) for end in (found.value, found.low, found.high)]
    about = [g.dataset, g.weak_model, g.strong_model, g.strong_params, results.variant(g), len(g.seeds)]
    return [*about, *scores, g.unidentified]
