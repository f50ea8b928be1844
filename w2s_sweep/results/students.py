"""The students of a sweep against fixed baselines: of all cells whose student is there, whatever became of the rest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from w2s_sweep.config.plain import flatten
from w2s_sweep.errors import DataError
from w2s_sweep.metrics import METRICS
from w2s_sweep.results.baselines import Baselines, describe_students, read_tasks
from w2s_sweep.results.cells import leaves_answers_out
from w2s_sweep.results.collect import collect_students, read_record
from w2s_sweep.results.collected import Results
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.labels import varying
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Row
from w2s_sweep.results.score import measure
from w2s_sweep.store import Store

DIFFER = (
    "The students were tested on different examples (where a source has no test set of its own, each seed deals one; "
    "dataset.split_seed=0 keeps it): their spread has that of the examples in it, and the baselines may be of others."
)


@dataclass
class Students:
    """Those of one task."""

    groups: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    """`Row.group` -> the cells whose student is there."""
    scores: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """The same -> one score for each of them."""
    tested: set[str] = field(default_factory=set[str])
    """Digests of the test examples."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Why cells are in no line -> how many."""


def compare_sweeps(store: Store, sweeps: Sequence[str], path: Path, test: str | None = None) -> str:
    """The students of sweeps, joined, against the baselines of a file, task by task. `test`: as in `collect`. Raises
    DataError, and StoreError where the store has no such sweep."""
    results, collected = collect_students(store, read_record(store, sweeps, test))
    tasks: dict[str, list[Row]] = {}
    for row in results.rows:
        tasks.setdefault(test or str(_cell(results, row)["dataset"]["name"]), []).append(row)
    baselines = read_tasks(path, [*tasks], known=test is None)
    parts = list[str]()
    for name, rows in tasks.items():
        found = _score(results, collected.reader, rows, baselines[name], f"baselines: {path}: {name}")
        lines = [f"{name}: metric {baselines[name].metric}", ""]
        if found.scores:
            titles = _titles(results, found.groups)
            lines += describe_students(baselines[name], {titles[one]: scores for one, scores in found.scores.items()})
        else:
            lines.append("No student is finished.")
        lines += [DIFFER] * (len(found.tested) > 1)
        lines += [f"Left out: {count:,} of {len(rows):,} cells: {why}." for why, count in found.left_out.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _score(results: Results, reader: Reader, rows: Sequence[Row], base: Baselines, where: str) -> Students:
    students, there = Students(), set[str]()
    for row in rows:
        found = reader.beside(row.student_key, row.weak_key)
        if isinstance(found, str):
            students.left_out[_why(results, row, found)] += 1
            continue
        base.require(len(found.ids), where)
        scores = _measure(results, row, found)
        there |= {*scores}
        if base.metric not in scores:
            students.left_out[f"{base.metric} of the student is undefined"] += 1
            continue
        group = students.groups.setdefault(row.group, [])
        if any(other.student_key == row.student_key for other in group):
            students.left_out["their student is that of another seed, and counts once"] += 1
            continue
        group.append(row)
        students.scores.setdefault(row.group, []).append(scores[base.metric])
        students.tested.add(found.digest)
    if there and base.metric not in there:
        raise DataError(f"{where}: metric: these students have no {base.metric}. They have {', '.join(sorted(there))}.")
    return students


def _why(results: Results, row: Row, found: str) -> str:
    failed = results.failures.get(row.student_key) or (row.note if row.state == "failed" else "")
    return f"the student is {found}" if found == "not finished" and not failed else f"no student, {failed or found}"


def _measure(results: Results, row: Row, found: Examples) -> dict[str, float]:
    """Metric -> the student's, where it is defined."""
    (measured,) = measure([{"student": found}])
    scores = {name.removesuffix("/student"): mean for name, mean in measured.means.items() if mean is not None}
    whole = not leaves_answers_out(_cell(results, row)["dataset"])
    return {
        name: mean
        for name, mean in scores.items()
        if name in METRICS and (whole or name == row.metric or not METRICS[name].reads_groups)
    }


def _titles(results: Results, groups: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """What the students of each group are called: those of one name have the settings beside it that they differ in."""
    plain = {name: f"{rows[0].pair} {results.variant(rows[0])}" for name, rows in groups.items()}
    shared = Counter(plain.values())
    settings = {
        name: {key: value for key, value in flatten(_cell(results, rows[0])).items() if key != "seed"}
        for name, rows in groups.items()
    }
    titles = dict(plain)
    for name, title in plain.items():
        if shared[title] > 1:
            vary = sorted(varying([settings[other] for other in plain if plain[other] == title]))
            titles[name] = f"{title} ({', '.join(f'{key}={settings[name].get(key)}' for key in vary)})"
    return titles


def _cell(results: Results, row: Row) -> Mapping[str, Any]:
    return results.record["cells"][row.cell]["cell"]
