"""Students against fixed baselines: scores of a weak supervisor, of a ceiling and of methods, over seeds, in a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.errors import DataError, nearest_first, unknown
from w2s_sweep.metrics import METRICS
from w2s_sweep.metrics.fixed import Runs, difference, recover_fixed
from w2s_sweep.results.tables.lines import count_text, interval, p_text

KEYS = ("weak", "ceiling", "metric", "examples", "methods")
FORM = '{"weak": [0.61, 0.63], "ceiling": [0.80, 0.81], "methods": {"naive": [0.66, 0.70]}}'
MOST = 10**12
"""Nothing in a file, scores and counts, is larger."""
SUMMARY = ("mean", "error", "seeds")
ALONE = "one run, whose spread is unknown: what it is in has no interval"


@dataclass(frozen=True)
class Baselines:
    """What a file says of one task."""

    weak: Runs
    ceiling: Runs
    methods: Mapping[str, Runs] = field(default_factory=dict[str, Runs])
    """Further students, each with its scores."""
    metric: str = "accuracy"
    examples: int | None = None
    """Test examples that all were scored on; None where the file does not say."""

    def require(self, examples: int, where: str) -> None:
        """Raises DataError where the students were scored on another number of test examples."""
        if self.examples not in (None, examples):
            raise DataError(
                f"{where}: scores are of {self.examples:,} test examples, {examples:,} are scored here. Fixed "
                "baselines are for one test set: score students on the same examples."
            )


def read_baselines(path: Path, task: str | None = None) -> Baselines:
    """What a JSON file says: of one task, or of several by name, of which `task` is one. Raises DataError."""
    return _of_task(_load(path), path, task)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"baselines: {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"baselines: {path} is no JSON: {error}. Its form is {FORM}.") from error


def _names_tasks(said: Any) -> bool:
    return is_mapping(said) and bool(said) and not {*KEYS} & {*said}


def _of_task(said: Any, path: Path, task: str | None) -> Baselines:
    if not _names_tasks(said):
        return _read_one(said, f"baselines: {path}")
    if not all(is_mapping(one) for one in said.values()):
        raise DataError(f"baselines: {path}: has neither weak nor ceiling. Its form is {FORM}, or this for each task.")
    if task is None and len(said) > 1:
        names = ", ".join(sorted(said))
        raise DataError(
            f"baselines: {path} is of several tasks: {names}. Say which: task={nearest_first('', said)[0]}."
        )
    if task is not None and task not in said:
        raise DataError(f"baselines: {path}: {unknown('task', task, said)}")
    name = task or next(iter(said))
    return _read_one(said[name], f"baselines: {path}: {name}")


def read_tasks(path: Path, tasks: Sequence[str], known: bool) -> dict[str, Baselines]:
    """Of each of these tasks; a file that names none is of the only one, where it is `known` to be of that one. Raises
    DataError."""
    said = _load(path)
    if not _names_tasks(said) and is_mapping(said) and not (known and len(tasks) == 1):
        form = ", ".join(f'"{name}": {{...}}' for name in tasks)
        raise DataError(
            f"baselines: {path} names no task, and could be of any (here: {', '.join(tasks)}). Say which: {{{form}}}."
        )
    return {name: _of_task(said, path, name) for name in tasks}


def _read_one(said: Any, where: str) -> Baselines:
    if not is_mapping(said):
        raise DataError(f"{where}: is no object. Its form is {FORM}.")
    for key in said:
        if key not in KEYS:
            raise DataError(f"{where}: {unknown('key', key, KEYS)} Scores of other methods stand under methods.")
    lacking = [role for role in ("weak", "ceiling") if role not in said]
    if lacking:
        raise DataError(f"{where}: lacks {' and '.join(lacking)}. Its form is {FORM}.")
    metric, examples, methods = said.get("metric", "accuracy"), said.get("examples"), said.get("methods", {})
    if not isinstance(metric, str) or metric not in METRICS:
        raise DataError(f"{where}: {unknown('metric', str(metric), METRICS)}")
    if examples is not None and not _is_count(examples):
        raise DataError(f"{where}: examples: got {examples!r}. Allowed: how many test examples were scored.")
    if not is_mapping(methods):
        raise DataError(f'{where}: methods: got {methods!r}. Allowed: scores by name, {{"naive": [0.66, 0.70]}}.')
    weak, ceiling = (_runs(said[role], f"{where}: {role}", metric) for role in ("weak", "ceiling"))
    others = {name: _runs(one, f"{where}: methods: {name}", metric) for name, one in methods.items()}
    return Baselines(weak, ceiling, others, metric, examples)


def _runs(said: Any, where: str, metric: str) -> Runs:
    """`[0.61, 0.63]`, one a seed; `0.61`, one run; or `{"mean": 0.62, "error": 0.01, "seeds": 5}`."""
    if is_mapping(said):
        if {*said} != {*SUMMARY}:
            raise DataError(f"{where}: has {', '.join(said)}. Allowed: a list of scores, or {', '.join(SUMMARY)}.")
        mean, error = (_number(said[name], f"{where}: {name}") for name in ("mean", "error"))
        seeds = said["seeds"]
        low, high = METRICS[metric].bounds
        if not _is_count(seeds) or not 0 <= error <= min(high - low, MOST):
            raise DataError(f"{where}: seeds is a count from 1, error the standard error of the mean, from 0.")
        return Runs(_score(mean, where, metric), seeds, error if seeds > 1 else None)
    listed = said if is_list(said) else [said]
    if not listed:
        raise DataError(f"{where}: is empty. Give one score a seed.")
    return Runs.of([_score(_number(one, where), where, metric) for one in listed])


def _is_count(said: Any) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and 1 <= said <= MOST


def _number(said: Any, where: str) -> float:
    """What is larger than `MOST` has squares, or is an integer, that no float can hold."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not abs(said) <= MOST:
        raise DataError(f"{where}: {repr(said)[:40]} is no number that a score can be.")
    return float(said)


def _score(value: float, where: str, metric: str) -> float:
    low, high = METRICS[metric].bounds
    if not low <= value <= high:
        hint = f" Percent are written as shares: {value / 100:.4g}." if high == 1 and 1 < value <= 100 else ""
        raise DataError(f"{where}: {value:g} is no {metric}, which is from {low:g} to {high:g}.{hint}")
    return value


def describe_students(baselines: Baselines, students: Mapping[str, Sequence[float]]) -> list[str]:
    """Scores, PGRs and differences to the file's methods, as lines of text. `students`: name -> one score a seed."""
    found = {name: Runs.of(scores) for name, scores in students.items()}
    rows = [("weak", baselines.weak, ""), ("ceiling", baselines.ceiling, "")]
    rows += [(name, runs, _pgr(baselines, runs)) for name, runs in [*baselines.methods.items(), *found.items()]]
    width = max(len(name) for name, _, _ in rows)
    lines = [
        f"{name:<{width}} {count_text(runs.seeds, 'seed'):>8}  {interval(runs.interval, 4):<22} {pgr}".rstrip()
        for name, runs, pgr in rows
    ]
    compared = [
        f"{name} - {other}: {interval(off.interval, 4)}, p {p_text(off.p)}"
        for name, runs in found.items()
        for other, base in baselines.methods.items()
        for off in [difference(runs, base)]
    ]
    alone = [f"{name}: {ALONE}." for name, runs, _ in rows if runs.error is None]
    told = (
        "Intervals are over runs (of the student and of the baselines) on these test examples, not over other test "
        "examples. The PGR is over the file's weak and ceiling."
    )
    return [*lines, *([""] if compared else []), *compared, "", *alone, told]


def _pgr(baselines: Baselines, runs: Runs) -> str:
    found = recover_fixed(runs, baselines.weak, baselines.ceiling)
    return f"PGR not identified: {found.reason}" if found.reason else f"PGR {interval(found.pgr)}"
