"""Mirrors a sweep from its files, as often as you like: only what W&B lacks is sent. Curves come from metrics.jsonl."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from w2s_sweep.kinds import TRAINED
from w2s_sweep.plan.stage import digest
from w2s_sweep.results.records import Results, Row
from w2s_sweep.store import Store, read_jsonl
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.mirror import Identity, WandbRun, flat_summary, marker, mirrored, run_config
from w2s_sweep.tracking.session import Session, run_id

NOT_LOGGED = frozenset({"step", "total"})


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    sent: int
    """Stages that were sent now."""
    present: int
    """Stages that W&B had already."""
    complete: bool
    """Whether everything that is finished is mirrored."""
    mode: str
    """online, offline or disabled."""


def push(store: Store, results: Results, settings: Mapping[str, Any]) -> Pushed | None:
    """Mirror every finished trained stage of a sweep and its summary run; None where `settings` ask for no tracker.

    `settings` are plain `tracker` settings (`cells.cell.Tracker`). Never raises because of W&B.
    """
    if settings["name"] == "none":
        return None
    session = Session(settings, results.sweep, store.sweep(results.sweep))
    if session.mode == "disabled":
        return Pushed(0, 0, False, session.mode)
    sent = present = 0
    extra = student_scores(results)
    for identity in _identities(store, results):
        rows = read_jsonl(store.path(identity.key) / "metrics.jsonl")
        summary = (read_json(store.path(identity.key) / "summary.json") or {}) | extra.get(identity.key, {})
        if mirrored(session, identity.key, len(rows), summary):
            present += 1
            continue
        replay(session, identity, rows, summary)
        if session.boundary.broken:
            break
        sent += 1
    if not session.boundary.broken:
        _summary_run(session, results, store)
    return Pushed(sent, present, not session.boundary.broken, session.mode)


def replay(session: Session, identity: Identity, rows: list[dict[str, Any]], summary: Mapping[str, Any]) -> None:
    """Send the rows that W&B lacks; an offline run cannot be continued, so an unfinished one is written anew."""
    if session.mode == "offline":
        _discard(session, run_id("stage", identity.key))
    run = WandbRun(session, identity)
    run.rows = min(run.starting_row, len(rows))
    for row in rows[run.rows :]:
        run.log({name: value for name, value in row.items() if name not in NOT_LOGGED}, row["step"])
    run.finish(summary)


def _discard(session: Session, name: str) -> None:
    for folder in session.files.glob(f"offline-run-*-{name}"):
        shutil.rmtree(folder, ignore_errors=True)


def student_scores(results: Results) -> dict[str, dict[str, float]]:
    """Student key -> pgr, acc/weak, acc/student, acc/ceiling, further metrics; medians of cells that share it."""
    cells: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.state == "done":
            cells.setdefault(row.student_key, []).append(row)
    return {key: _further(rows) | _scores(rows) for key, rows in cells.items()}


def _further(rows: list[Row]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row.details)
    return _medians({name: [row.details[name].value for row in rows if name in row.details] for name in names})


def _scores(rows: list[Row]) -> dict[str, float]:
    short = {"accuracy": "acc", "auroc": "auroc"}.get(rows[0].metric, rows[0].metric)
    values = {f"{short}/{role}": [getattr(row, role).value for row in rows] for role in ("weak", "student", "ceiling")}
    return _medians(values | {"pgr": [row.pgr.value for row in rows]})


def _medians(values: Mapping[str, list[float | None]]) -> dict[str, float]:
    """The median of what is known under each name; names of which nothing is known are left out."""
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: float(median(found)) for name, found in known.items() if found}


def _identities(store: Store, results: Results) -> list[Identity]:
    """Every finished trained stage of the sweep, with the settings of the first cell that uses it."""
    models: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for entry in results.record["cells"]:
        for role, key in entry["roles"].items():
            cell = entry["cell"]
            models.setdefault(key, (cell["weak" if role == "weak" else "strong"], cell["dataset"]))
    found: list[Identity] = []
    for key, about in results.record["stages"].items():
        if about["kind"] not in TRAINED or not store.done(key):
            continue
        model, dataset = models.get(key, ({}, {}))
        config = run_config(key, about["kind"], store.preimage(key)["settings"], model, dataset)
        tags = (str(dataset["name"]),) if "name" in dataset else ()
        found.append(Identity(key, about["label"], about["role"], config, tags))
    return found


def figure_files(store: Store, sweep: str) -> list[Path]:
    """The figures of the sweep's report."""
    return sorted((store.sweep(sweep) / "figures").glob("*.png"))


def _summary_run(session: Session, results: Results, store: Store) -> None:
    """One run for the sweep: the table of groups, PGR against student size, medians over all cells, and the report."""
    rows = [row for row in results.rows if row.state == "done"]
    numbers = {f"median/{name}": value for name, value in (_scores(rows) if rows else {}).items()}
    summary: dict[str, Any] = {
        "cells": len(results.rows),
        "cells/done": len(rows),
        "cells/failed": results.count("failed"),
        "pgr/undefined": sum(bool(row.pgr_undefined) for row in rows),
        **numbers,
        **{name.removeprefix("median/"): value for name, value in numbers.items()},
    }
    stamp = digest([flat_summary(summary), [_line(results, g) for g in results.groups]])
    done = marker(session, "summary")
    found = read_json(done)
    if found is not None and found.get("stamp") == stamp and (found["mode"] == "online" or session.mode == "offline"):
        return
    name = run_id("sweep", results.sweep)
    if session.mode == "offline":
        _discard(session, name)
    with session.boundary("the summary run"):
        run = session.open(name, name=f"summary {results.sweep}", job_type="summary", tags=[results.sweep])
        _curves(run, results)
        with session.boundary("the table of the summary run"):
            import wandb

            run.log({"results": wandb.Table(columns=HEADS, data=[_line(results, g) for g in results.groups])})
            run.log({f"figures/{path.stem}": wandb.Image(str(path)) for path in figure_files(store, results.sweep)})
            if (report := store.sweep(results.sweep) / "report.html").is_file():
                run.log({"report": wandb.Html(str(report), inject=False)})
        run.summary.update(summary)
        run.finish()
        if not session.boundary.broken:
            write_json(done, {"stamp": stamp, "mode": session.mode})


HEADS: list[str | int] = [
    "dataset", "weak", "strong", "strong params", "setting", "seeds",
    "acc weak", "acc student", "acc ceiling", "pgr", "pgr low", "pgr high", "undefined",
]  # fmt: skip


def _line(results: Results, group: Any) -> list[Any]:
    g = group
    scores = [g.weak.value, g.student.value, g.ceiling.value, g.pgr.value, g.pgr.low, g.pgr.high]
    about = [g.dataset, g.weak_model, g.strong_model, g.strong_params, results.variant(g), len(g.seeds)]
    return [*about, *scores, g.undefined]


def _curves(run: Any, results: Results) -> None:
    """PGR against the student's size: one row per size, one series per weak model and setting."""
    by_size: dict[int, dict[str, float]] = {}
    for g in results.groups:
        if g.pgr.value is not None:
            series = f"pgr/{g.dataset}/{g.weak_model}/{results.variant(g)}"
            by_size.setdefault(g.strong_params, {})[series] = g.pgr.value
    run.define_metric("strong_params")
    run.define_metric("pgr/*", step_metric="strong_params")
    for size in sorted(by_size):
        run.log({"strong_params": size, **by_size[size]})
