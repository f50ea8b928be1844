"""Is one setting better than another? Students of one task, pair of models and seed are compared in pairs.

On one task over seeds and groups of test examples together; over tasks the task is the unit, however many seeds it has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from w2s_sweep.metrics import crossed_interval, crossed_p, holm, sign_flip, smallest_p, t_interval
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.pairs import Pair, Students, change
from w2s_sweep.results.records import Row

BASELINE = ("xent", "naive")
"""Loss and method that others are compared with; where a sweep lacks them the loss alone, else what comes first."""
Setting = tuple[str, str, str]
"""Loss, method, fine-tuning."""
Settings = dict[Setting, dict[int, Row]]
"""Setting -> seed -> finished cell."""


@dataclass(frozen=True)
class Compared:
    """Two settings on one task, before what all tasks say."""

    place: int
    """Of their task and models: the first of its cells."""
    pairs: Sequence[Pair]
    alone: Comparison
    """Its p-value is not corrected."""


def compare_tasks(rows: Iterable[Row], students: Students) -> list[Compared]:
    """Each setting against the baseline, task by task; `rows`: all cells of these tasks."""
    problems: dict[tuple[str, str, str], Settings] = {}
    places: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if row.state == "done":
            about = row.dataset, row.pair, row.metric
            places.setdefault(about, row.cell)
            problems.setdefault(about, {}).setdefault(_setting(row), {})[row.seed] = row
    found = [
        (places[about], _pairs(settings[base], settings[setting], students))
        for about, settings in problems.items()
        for base in [baseline(list(settings))]
        for setting in settings
        if setting != base
    ]
    return [Compared(place, pairs, _of_task(pairs, students)) for place, pairs in found if pairs]


def compare_pairs(found: Sequence[Sequence[Pair]], students: Students) -> tuple[Comparison, ...]:
    """Each of these, pairs of cells of one task, models and two settings: over all tasks first, then task by task."""
    return join_tasks([Compared(0, pairs, _of_task(pairs, students)) for pairs in found])


def join_tasks(found: Iterable[Compared]) -> tuple[Comparison, ...]:
    """Over all tasks first, for every pair of models, then task by task, in the order of their cells.

    Those over all tasks are one family for Holm's correction and those of single tasks another: with few seeds a single
    task can never give a small p, and would only weaken the question that is asked first.
    """
    found = sorted(found, key=lambda one: one.place)
    joint: dict[tuple[str, str, Setting, Setting], list[Sequence[Pair]]] = {}
    for one in found:
        first, second = one.pairs[0]
        joint.setdefault((second.pair, second.metric, _setting(first), _setting(second)), []).append(one.pairs)
    over = [_over_tasks(tasks) for tasks in joint.values() if len(tasks) > 1]
    return (*_correct(over), *_correct([one.alone for one in found]))


def _setting(row: Row) -> Setting:
    return row.loss, row.method, row.finetune


def baseline(settings: Sequence[Setting]) -> Setting:
    """The setting that the others of a task are compared with."""
    for wanted in (BASELINE, BASELINE[:1]):
        for setting in settings:
            if tuple(name.partition("(")[0] for name in setting[: len(wanted)]) == wanted:
                return setting
    return settings[0]


def _pairs(base: dict[int, Row], other: dict[int, Row], students: Students) -> list[Pair]:
    both = [(base[seed], row) for seed, row in sorted(other.items()) if seed in base]
    return [pair for pair in both if students.comparable(*pair)]


def _of_task(pairs: Sequence[Pair], students: Students) -> Comparison:
    found, seeds = students.difference(pairs), len(pairs)
    p = crossed_p(found)
    name, units = ("seeds and examples", seeds) if seeds > 1 else ("these models", found.groups)
    return Comparison(
        first=pairs[0][0],
        second=pairs[0][1],
        tasks=1,
        pairs=seeds,
        better=sum(change(*pair) > 0 for pair in pairs),
        difference=crossed_interval(found),
        test=None if p is None else PairedTest(name, units, p),
        students=_students(pairs),
    )


def _over_tasks(tasks: Sequence[Sequence[Pair]]) -> Comparison:
    means = [fmean(change(*pair) for pair in pairs) for pairs in tasks]
    p = sign_flip(means)
    return Comparison(
        first=tasks[0][0][0],
        second=tasks[0][0][1],
        tasks=len(tasks),
        pairs=sum(len(pairs) for pairs in tasks),
        better=sum(value > 0 for value in means),
        difference=t_interval(means),
        test=None if p is None else PairedTest("sign flips", len(means), p, smallest_p(len(means))),
        students=_students([pair for pairs in tasks for pair in pairs]),
    )


def _students(pairs: Sequence[Pair]) -> tuple[str, ...]:
    return (pairs[0][0].metric, *(row.student_key for pair in pairs for row in pair))


def _correct(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The tests of a family, corrected; the same students under several names are one comparison."""
    adjusted = holm({c.students: c.test.p for c in found if c.test is not None})
    return tuple(
        c if c.test is None else replace(c, test=replace(c.test, corrected=adjusted[c.students])) for c in found
    )
