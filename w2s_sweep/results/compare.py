"""Is one setting better than another? Students of one task, pair of models and seed are compared in pairs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from w2s_sweep.metrics import holm, over_tasks, sign_flip, t_interval
from w2s_sweep.results.pairs import Pair, Students, change
from w2s_sweep.results.records import Comparison, PairedTest, Row

BASELINE = ("xent", "naive")
"""Loss and method that others are compared with; where a sweep lacks them the loss alone, else what comes first."""
Setting = tuple[str, str, str]
"""Loss, method, fine-tuning."""
Settings = dict[Setting, dict[int, Row]]
"""Setting -> seed -> finished cell."""


def compare(rows: Iterable[Row], students: Students) -> tuple[Comparison, ...]:
    """Each setting against the baseline: over all tasks for every pair of models, then task by task.

    Those over all tasks are one family for Holm's correction and those of single tasks another: with few seeds a single
    task can never give a small p, and would only weaken the question that is asked first. Each test is corrected by
    itself.
    """
    problems: dict[tuple[str, str, str], Settings] = {}
    for row in rows:
        if row.state == "done":
            settings = problems.setdefault((row.dataset, row.pair, row.metric), {})
            settings.setdefault((row.loss, row.method, row.finetune), {})[row.seed] = row
    joint: dict[tuple[str, str, Setting, Setting], list[list[Pair]]] = {}
    found: list[Comparison] = []
    for (_, pair, metric), settings in problems.items():
        base = baseline(list(settings))
        for setting in settings:
            pairs = _pairs(settings[base], settings[setting], students) if setting != base else []
            if pairs:
                found.append(_of_task(pairs, students))
                joint.setdefault((pair, metric, base, setting), []).append(pairs)
    over = [_over_tasks(tasks, students) for tasks in joint.values() if len(tasks) > 1]
    return (*_correct(over), *_correct(found))


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
    changes = [change(*pair) for pair in pairs]
    return Comparison(
        first=pairs[0][0],
        second=pairs[0][1],
        tasks=1,
        pairs=len(pairs),
        better=sum(value > 0 for value in changes),
        difference=t_interval(changes) if len(pairs) > 1 else students.difference(*pairs[0]),
        by_run=_sign_flip(changes),
        by_example=students.by_example(pairs),
        students=_students(pairs),
    )


def _over_tasks(tasks: Sequence[Sequence[Pair]], students: Students) -> Comparison:
    """A task counts once, however many seeds it has; the interval is over tasks."""
    changes = [[change(*pair) for pair in pairs] for pairs in tasks]
    means = [fmean(values) for values in changes]
    shares = [value / len(values) for values in changes for value in values]
    return Comparison(
        first=tasks[0][0][0],
        second=tasks[0][0][1],
        tasks=len(tasks),
        pairs=len(shares),
        better=sum(value > 0 for value in means),
        difference=over_tasks(means, "mean"),
        by_run=_sign_flip(shares),
        by_example=students.by_example([pair for pairs in tasks for pair in pairs]),
        students=_students([pair for pairs in tasks for pair in pairs]),
    )


def _students(pairs: Sequence[Pair]) -> tuple[str, ...]:
    return (pairs[0][0].metric, *(row.student_key for pair in pairs for row in pair))


def _sign_flip(changes: Sequence[float]) -> PairedTest | None:
    p = sign_flip(changes)
    return None if p is None else PairedTest("sign flips", len(changes), p)


def _correct(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    by_run = _holm(found, lambda c: c.by_run)
    by_example = _holm(found, lambda c: c.by_example)
    return tuple(replace(c, by_run=by_run[i], by_example=by_example[i]) for i, c in enumerate(found))


def _holm(found: Sequence[Comparison], test: Callable[[Comparison], PairedTest | None]) -> list[PairedTest | None]:
    """The tests of all comparisons, corrected; the same students under several names are one comparison."""
    tests = [(c.students, test(c)) for c in found]
    adjusted = holm({students: t.p for students, t in tests if t is not None})
    return [None if t is None else replace(t, corrected=adjusted[students]) for students, t in tests]
