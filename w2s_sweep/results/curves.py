"""Curves over training: every number of a group after each evaluation of its stages, from what these predicted then.

A point compares with the final predictions of supervisor and ceiling on the same test rows; its PGR is the ratio of
mean gaps over the seeds, as that of the group is.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import METRICS, ROLES, Interval, Recovery, agreement_scores
from w2s_sweep.predictions import CURVE, Evaluated, read_curve
from w2s_sweep.results.curve_point import CurvePoint, StudentStep
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import NONE, Row
from w2s_sweep.results.score import Columns, Designs, Measured, estimate
from w2s_sweep.store import Store

SCORES = ("accuracy", "auroc")
"""Metrics of every point."""
AGREEMENTS = ("agreement", "agreement/supervisor_right", "agreement/supervisor_wrong")
"""What every point of a student has too."""


@dataclass
class CurveReader:
    """The curves of stages, each read and measured once however many groups share the stages."""

    store: Store
    final: Reader
    designs: Designs
    curves: dict[str, list[Evaluated]] = field(default_factory=dict[str, list[Evaluated]])
    """Of supervisors and ceilings; students are many, and each is of few cells."""
    ids: dict[str, Array] = field(default_factory=dict[str, Array])
    """Evaluated rows, one array for equal ones: it stands for them in what follows."""
    parts: dict[tuple[str, int], Examples] = field(default_factory=dict[tuple[str, int], Examples])
    """(stage, which rows) -> its final predictions on these rows."""
    scores: dict[tuple[str, int, str], "Array | None"] = field(
        default_factory=dict[tuple[str, int, str], "Array | None"]
    )
    """(stage, which rows, metric) -> what each row adds in the end."""
    own: dict[tuple[str, ...], list[CurvePoint]] = field(default_factory=dict[tuple[str, ...], list[CurvePoint]])
    """(role, metric, stages of the seeds) -> their points, for the groups that share them."""
    steps: dict[tuple[str, ...], tuple[StudentStep, ...]] = field(
        default_factory=dict[tuple[str, ...], tuple[StudentStep, ...]]
    )
    """(metric, stages of a cell) -> the evaluations of its student."""

    def points(self, rows: Sequence[Row]) -> list[CurvePoint]:
        """The points of cells that differ in the seed only, role by role, of the seeds that have a curve."""
        done = [row for row in rows if row.state == "done" and self._is_comparable(row)]
        return [point for role in ROLES for point in self._of_role(role, done)]

    def student_steps(self, row: Row) -> tuple[StudentStep, ...]:
        """What a cell's student was worth after each evaluation, of cells that `points` were asked for."""
        return self.steps.get((row.metric, *_stages("student", row)), ())

    def _is_comparable(self, row: Row) -> bool:
        """Whether all roles predict the same test rows: a file that supervises may lack all of them."""
        found = [self.final.beside(key, row.weak_key) for key in _stages("student", row)]
        digests = {one.digest if isinstance(one, Examples) else None for one in found}
        return len(digests) == 1 and None not in digests

    def _of_role(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        about = (role, rows[0].metric, *(key for row in rows for key in self._of_what(role, row))) if rows else ()
        if rows and about not in self.own:
            self.own[about] = self._measure_all(role, rows)
        return [replace(point, **_place(rows[0])) for point in self.own.get(about, ())]

    def _of_what(self, role: str, row: Row) -> tuple[str, ...]:
        """What a row's points depend on: its stages, and the file that says which test rows count."""
        narrow = self.final.labelled(row.weak_key) is not None
        return (*_stages(role, row), row.weak_key) if narrow else _stages(role, row)

    def _measure_all(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        curves = [(row, curve) for row in rows if (curve := self._curve(role, row))]
        found = [(row, curve, self._measure(role, row, curve)) for row, curve in curves]
        if role == "student":
            self.steps |= {(row.metric, *_stages(role, row)): _steps(row.metric, at, known) for row, at, known in found}
        # Evaluations are matched by their number: trainings of one setting may differ by a few steps.
        common = min((len(curve) for _, curve in curves), default=0)
        last = [Seed(row, curve[-common:], measured[-common:]) for row, curve, measured in found]
        together: dict[tuple[int, ...], list[int]] = {}
        for number in range(common):
            together.setdefault(tuple(id(seed.curve[number].ids) for seed in last), []).append(number)
        points = [point for numbers in together.values() for point in self._points(role, numbers, last)]
        return sorted(points, key=lambda point: point.evaluation)

    def _curve(self, role: str, row: Row) -> list[Evaluated]:
        """What the role's stage predicted on the way, for the rows that the cell is about."""
        key, labelled = getattr(row, f"{role}_key"), self.final.labelled(row.weak_key)
        curve = self._read(role, key)
        if labelled is None:
            return curve
        return self._share_ids([part for part in _among(curve, labelled) if len(part.ids)])

    def _read(self, role: str, key: str) -> list[Evaluated]:
        if key in self.curves:
            return self.curves[key]
        path = self.store.path(key) / CURVE
        try:
            found = self._share_ids(read_curve(path)) if path.is_file() else []
        except StoreError:
            found = []  # a curve is no result: `w2s verify` tells of damage
        if role != "student":
            self.curves[key] = found
        return found

    def _share_ids(self, curve: Sequence[Evaluated]) -> list[Evaluated]:
        known: dict[int, Array] = {}  # evaluations of a stage share their array: its text is made once
        for one in curve:
            if id(one.ids) not in known:
                known[id(one.ids)] = self.ids.setdefault("\n".join(one.ids.tolist()), one.ids)
        return [replace(one, ids=known[id(one.ids)]) for one in curve]

    def _points(self, role: str, numbers: Sequence[int], seeds: Sequence["Seed"]) -> list[CurvePoint]:
        """The points of evaluations that were each of the same rows; all are computed together."""
        metric, first = seeds[0].row.metric, numbers[0]
        cells = [Measured(seed.measured[first].groups, _merge(role, seed, numbers)) for seed in seeds]
        ratios = {str(n): (f"{metric}/weak", f"{metric}/student@{n}", f"{metric}/ceiling") for n in numbers}
        found, recoveries = estimate(cells, ratios if role == "student" else {}, self.designs)
        known = defaultdict[str, Interval](lambda: NONE, found)
        return [_point(role, number, seeds, known, recoveries.get(str(number))) for number in numbers]

    def _measure(self, role: str, row: Row, curve: Sequence[Evaluated]) -> list[Measured]:
        """What is known of one seed's examples after each evaluation; those of the same rows are measured together."""
        found: dict[int, Measured] = {}
        for which in dict.fromkeys(id(at.ids) for at in curve):
            places = [place for place, at in enumerate(curve) if id(at.ids) == which]
            found |= zip(places, self._measure_rows(role, row, [curve[place] for place in places]), strict=True)
        return [found[place] for place in range(len(curve))]

    def _measure_rows(self, role: str, row: Row, curve: Sequence[Evaluated]) -> list[Measured]:
        ids, probs = curve[0].ids, np.stack([at.probs for at in curve])
        weak = self._final(row.weak_key if role == "student" else getattr(row, f"{role}_key"), ids)
        several = dict[str, Several]()
        for name in dict.fromkeys((*SCORES, row.metric)):
            several[f"{name}/{role}"] = METRICS[name].scores_of_each(probs, weak)
        if role == "student":
            for one in ("weak", "ceiling"):
                lasting = self._final_scores(row.metric, getattr(row, f"{one}_key"), ids)
                several[f"{row.metric}/{one}"] = [lasting] * len(curve)
            found = agreement_scores(probs.argmax(2), weak.probs.argmax(1), weak.truth)
            for name, scores in found.items():
                several[name] = [None] * len(curve) if scores is None else [*scores]
        return [
            Measured(weak.groups, {name: values[place] for name, values in several.items()})
            for place in range(len(curve))
        ]

    def _final_scores(self, metric: str, key: str, ids: Array) -> "Array | None":
        about = (key, id(ids), metric)
        if about not in self.scores:
            final = self._final(key, ids)
            self.scores[about] = METRICS[metric].scores_of(final)
        return self.scores[about]

    def _final(self, key: str, ids: Array) -> Examples:
        """The final predictions of a finished stage on the rows of an evaluation, in its order."""
        if (key, id(ids)) not in self.parts:
            found = self.final.examples(key)
            assert isinstance(found, Examples), "the cell is done"
            self.parts[key, id(ids)] = found.on(ids)
        return self.parts[key, id(ids)]


Several = Sequence["Array | None"]
"""What each row adds, after each evaluation."""


@dataclass(frozen=True, eq=False)
class Seed:
    """What is known of the training of one seed's stage."""

    row: Row
    curve: Sequence[Evaluated]
    measured: Sequence[Measured]
    """After each evaluation of `curve`."""


def _among(curve: Sequence[Evaluated], labelled: Array) -> list[Evaluated]:
    """The evaluations on labelled rows; those of equal rows share their ids, which are looked up once."""
    arrays, wanted = {id(one.ids): one.ids for one in curve}, labelled.astype(str)
    rows = {about: np.flatnonzero(np.isin(ids.astype(str), wanted)) for about, ids in arrays.items()}
    kept = {about: ids[rows[about]] for about, ids in arrays.items()}
    return [replace(one, ids=kept[id(one.ids)], probs=one.probs[rows[id(one.ids)]]) for one in curve]


def _merge(role: str, seed: Seed, numbers: Sequence[int]) -> Columns:
    """The columns of several evaluations as NAME@NUMBER; what lasts, of the other roles, keeps its name."""
    lasting = {f"{seed.row.metric}/{one}" for one in ROLES if one != role}
    return {
        name if name in lasting else f"{name}@{number}": column
        for number in numbers
        for name, column in seed.measured[number].columns.items()
    }


def _point(
    role: str, number: int, seeds: Sequence[Seed], known: Mapping[str, Interval], recovery: Recovery | None
) -> CurvePoint:
    first, metric, at = seeds[0].row, seeds[0].row.metric, [seed.curve[number] for seed in seeds]
    return CurvePoint(
        **_place(first),
        role=role,
        seeds=tuple(sorted(seed.row.seed for seed in seeds)),
        evaluation=number + 1,
        step=round(fmean(one.step for one in at)),
        steps=round(fmean(one.steps for one in at)),
        n_test=max(len(one.ids) for one in at),
        value=known[f"{metric}/{role}@{number}"],
        weak=known[f"{metric}/weak"],
        ceiling=known[f"{metric}/ceiling"],
        pgr=NONE if recovery is None else recovery.pgr,
        unidentified="" if recovery is None else recovery.reason,
        accuracy=known[f"accuracy/{role}@{number}"],
        auroc=known[f"auroc/{role}@{number}"],
        agreement=known[f"agreement@{number}"],
        agreement_supervisor_right=known[f"agreement/supervisor_right@{number}"],
        agreement_supervisor_wrong=known[f"agreement/supervisor_wrong@{number}"],
    )


def _steps(metric: str, curve: Sequence[Evaluated], measured: Sequence[Measured]) -> tuple[StudentStep, ...]:
    names = [*(f"{metric}/{role}" for role in ROLES), *AGREEMENTS]
    means = {name: _means([one.columns[name] for one in measured]) for name in names}
    return tuple(
        StudentStep(
            step=at.step,
            **{role: means[f"{metric}/{role}"][place] for role in ROLES},
            **{name.replace("/", "_"): means[name][place] for name in AGREEMENTS},
        )
        for place, at in enumerate(curve)
    )


def _means(columns: Several) -> list[float | None]:
    known = [column for column in columns if column is not None]
    if len(known) == len(columns):
        return np.array(known).mean(1).tolist()
    return [None if column is None else float(column.mean()) for column in columns]


def _stages(role: str, row: Row) -> tuple[str, ...]:
    """The stages that a point depends on."""
    return (row.weak_key, row.student_key, row.ceiling_key) if role == "student" else (getattr(row, f"{role}_key"),)


def _place(row: Row) -> dict[str, Any]:
    """Where in the sweep a point stands."""
    names = ("group", "dataset", "weak_params", "strong_params")
    return vars(row.setting) | {name: getattr(row, name) for name in names}
