"""Curves over training: every number of a group after each evaluation of its stages, from what these predicted then.

A point compares with the final predictions of supervisor and ceiling on the same test rows; its PGR is the ratio of
mean gaps over the seeds, as that of the group is.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import ROLES, Interval, Recovery
from w2s_sweep.results.alike import compute_alike
from w2s_sweep.results.curve_files import CurveFiles
from w2s_sweep.results.curve_point import CurvePoint, StudentStep
from w2s_sweep.results.estimate import Designs, Estimated, estimate
from w2s_sweep.results.evaluations import OTHERS, Evaluations, Training
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import NONE, Row
from w2s_sweep.results.score import Batch, Measured

AGREEMENTS = ("agreement", "agreement/supervisor_right", "agreement/supervisor_wrong")
"""What every point of a student has too."""
FIELDS = tuple(name.replace("/", "_") for name in AGREEMENTS)
"""Of a point and a step."""


class About(NamedTuple):
    """What points depend on."""

    role: str
    metric: str
    stages: tuple[str, ...]
    """Of all seeds, and the file that says which test rows count."""


@dataclass
class CurveReader:
    """The points of groups, each computed once however many groups share the stages."""

    files: CurveFiles
    final: Reader
    designs: Designs
    evaluations: Evaluations
    own: dict[About, list[dict[str, Any]]] = field(default_factory=dict[About, list[dict[str, Any]]])
    """Points, but for where in the sweep they stand."""
    steps: dict[About, tuple[StudentStep, ...]] = field(default_factory=dict[About, tuple[StudentStep, ...]])
    """Of a single cell -> the evaluations of its student."""

    @classmethod
    def of(cls, final: Reader, designs: Designs) -> "CurveReader":
        return cls(CurveFiles(final), final, designs, Evaluations(final))

    def points(self, groups: Sequence[Sequence[Row]]) -> list[list[CurvePoint]]:
        """The points of several groups with one metric, each of cells that differ in the seed only: role by role, of
        the seeds that have a curve."""
        done = [[row for row in rows if row.state == "done" and self._has_all_roles(row)] for rows in groups]
        for role in ROLES:
            self._measure(role, [rows for rows in done if rows])
        return [[point for role in ROLES for point in self._place(role, rows)] for rows in done]

    def student_steps(self, row: Row) -> tuple[StudentStep, ...]:
        """What a cell's student was worth after each evaluation, of cells that `points` were asked for."""
        return self.steps.get(About("student", row.metric, _stages("student", row)), ())

    def _has_all_roles(self, row: Row) -> bool:
        """Whether a finished cell has a ceiling, and a supervisor with test rows: a file may have none."""
        found = (self.final.beside(key, row.weak_key) for key in _stages("student", row))
        return all(isinstance(one, Examples) for one in found)

    def _place(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        if not rows:
            return []
        names = ("group", "dataset", "weak_params", "strong_params")
        place = vars(rows[0].setting) | {name: getattr(rows[0], name) for name in names}
        return [CurvePoint(**place, **point) for point in self.own[self._about(role, rows)]]

    def _about(self, role: str, rows: Sequence[Row]) -> About:
        return About(role, rows[0].metric, tuple(key for row in rows for key in self._of_what(role, row)))

    def _of_what(self, role: str, row: Row) -> tuple[str, ...]:
        narrow = self.final.find_labelled(row.weak_key) is not None
        return (*_stages(role, row), row.weak_key) if narrow else _stages(role, row)

    def _measure(self, role: str, groups: Sequence[Sequence[Row]]) -> None:
        """Have `own` hold the points of all groups."""
        todo = {about: rows for rows in groups if (about := self._about(role, rows)) not in self.own}
        curves = {about: [(row, self.files.of(role, row)) for row in rows] for about, rows in todo.items()}
        found = self.evaluations.measure(role, [one for many in curves.values() for one in many if one[1]])
        if role == "student":
            self.steps |= {About(role, one.row.metric, _stages(role, one.row)): self._steps(one) for one in found}
        trainings, jobs = iter(found), list[Job]()
        for about, many in curves.items():
            self.own[about] = []
            jobs += _jobs(about, [next(trainings) for _, curve in many if curve])
        for job, estimated in zip(jobs, self._estimate(jobs), strict=True):
            self.own[job.about] += [job.point(number, estimated) for number in job.numbers]
        for about in todo:
            self.own[about].sort(key=lambda point: point["evaluation"])

    def _estimate(self, jobs: Sequence["Job"]) -> list[Estimated]:
        """Jobs of one role; those of the same rows and evaluations are computed together."""
        return compute_alike(jobs, lambda job: (tuple(job.numbers), *map(id, job.batches)), self._estimate_alike)

    def _estimate_alike(self, jobs: Sequence["Job"]) -> list[Estimated]:
        batches = [self._batch(seed, jobs) for seed in range(len(jobs[0].seeds))]
        entries = [[Measured(batch, place) for batch in batches] for place in range(len(jobs))]
        return estimate(entries, _ratios(jobs[0]), self.designs)

    def _batch(self, seed: int, jobs: Sequence["Job"]) -> Batch:
        """One seed of several jobs: the columns of all evaluations as NAME@NUMBER, and what lasts of other roles."""
        whole = jobs[0].batches[seed]
        values = whole.values[np.array([[one.place for one in job.of_seed(seed)] for job in jobs])]
        names = tuple(f"{name}@{number}" for number in jobs[0].numbers for name in whole.names)
        values = values.reshape(len(jobs), len(names), -1)
        if jobs[0].about.role != "student":
            return Batch(whole.groups, names, values)
        lasting = np.array([self._lasting(job.seeds[seed], job.numbers[0]) for job in jobs])
        others = tuple(f"{jobs[0].about.metric}/{other}" for other in OTHERS)
        return Batch(whole.groups, (*names, *others), np.concatenate([values, lasting], 1))

    def _lasting(self, training: Training, number: int) -> list[Array]:
        """The final scores of supervisor and ceiling on the rows of one evaluation."""
        row, ids = training.row, training.curve[number].ids
        return [self.evaluations.final_scores(row.metric, getattr(row, f"{one}_key"), ids) for one in OTHERS]

    def _steps(self, training: Training) -> tuple[StudentStep, ...]:
        first = {id(one.batch): number for number, one in reversed([*enumerate(training.measured)])}
        others = {about: [_defined(one.mean()) for one in self._lasting(training, n)] for about, n in first.items()}
        names = training.measured[0].batch.names  # those of all of its evaluations
        places = [names.index(name) for name in (f"{training.row.metric}/student", *AGREEMENTS)]
        found = list[StudentStep]()
        for at, one in zip(training.curve, training.measured, strict=True):
            means, (weak, ceiling) = one.batch.means[one.place], others[id(one.batch)]
            student, *shares = (means[place] for place in places)
            agreements = dict(zip(FIELDS, shares, strict=True))
            found.append(StudentStep(step=at.step, weak=weak, student=student, ceiling=ceiling, **agreements))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Job:
    """Evaluations of a group's trainings, all of the same rows; those of a group may be several jobs."""

    about: About
    numbers: Sequence[int]
    """Of the evaluations of `seeds`."""
    seeds: Sequence[Training]
    """With the last evaluations of each, as many as all of them have."""

    @property
    def batches(self) -> list[Batch]:
        """Of each seed."""
        return [seed.measured[self.numbers[0]].batch for seed in self.seeds]

    def of_seed(self, seed: int) -> list[Measured]:
        return [self.seeds[seed].measured[number] for number in self.numbers]

    def point(self, number: int, estimated: Estimated) -> dict[str, Any]:
        """One point, but for where in the sweep it stands."""
        role, metric = self.about.role, self.about.metric
        means: Mapping[str, Interval] = defaultdict(lambda: NONE, estimated.means)
        recovery: Recovery | None = estimated.recoveries.get(str(number))
        at = [seed.curve[number] for seed in self.seeds]
        return {
            "role": role,
            "seeds": tuple(sorted(seed.row.seed for seed in self.seeds)),
            "evaluation": number + 1,
            "step": round(fmean(one.step for one in at)),
            "steps": round(fmean(one.steps for one in at)),
            "n_test": max(len(one.ids) for one in at),
            "value": means[f"{metric}/{role}@{number}"],
            "weak": means[f"{metric}/weak"],
            "ceiling": means[f"{metric}/ceiling"],
            "pgr": NONE if recovery is None else recovery.pgr,
            "unidentified": "" if recovery is None else recovery.reason,
            "accuracy": means[f"accuracy/{role}@{number}"],
            "auroc": means[f"auroc/{role}@{number}"],
            **{field: means[f"{name}@{number}"] for field, name in zip(FIELDS, AGREEMENTS, strict=True)},
        }


def _jobs(about: About, trainings: Sequence[Training]) -> list[Job]:
    """Evaluations are matched by their number from the end: trainings of one setting may differ by a few steps."""
    common = min((len(one.curve) for one in trainings), default=0)
    seeds = [replace(one, curve=one.curve[-common:], measured=one.measured[-common:]) for one in trainings]
    together: dict[tuple[int, ...], list[int]] = {}
    for number in range(common):
        together.setdefault(tuple(id(seed.measured[number].batch) for seed in seeds), []).append(number)
    return [Job(about, numbers, seeds) for numbers in together.values()]


def _ratios(job: Job) -> dict[str, tuple[str, str, str]]:
    if job.about.role != "student":
        return {}
    of = job.about.metric
    return {str(number): (f"{of}/weak", f"{of}/student@{number}", f"{of}/ceiling") for number in job.numbers}


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _stages(role: str, row: Row) -> tuple[str, ...]:
    """The stages that a point depends on."""
    return (row.weak_key, row.student_key, row.ceiling_key) if role == "student" else (getattr(row, f"{role}_key"),)
