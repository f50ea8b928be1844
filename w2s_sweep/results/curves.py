"""Curves over training: every number of a group after each evaluation of its stages, from what these predicted then.

A point compares with the final predictions of supervisor and ceiling on the same test rows; its PGR is the ratio of
mean gaps over the seeds, as that of the group is.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import METRICS, Interval, agreement_scores
from w2s_sweep.predictions import CURVE, Evaluated, read_curve
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.records import NONE, ROLES, CurvePoint, Row, StudentStep
from w2s_sweep.results.score import Columns, Designs, Measured, means, recover_cells
from w2s_sweep.store import Store

SCORES = ("accuracy", "auroc")
"""Metrics of every point."""


class Final(Protocol):
    """What stages predict in the end, by their keys."""

    def examples(self, key: str) -> "Examples | str": ...


@dataclass
class CurveReader:
    """The curves of stages, each read and measured once however many groups share the stages."""

    store: Store
    final: Final
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
        """Whether all roles predict the same test rows: a file that supervises may lack some or all of them."""
        found = [self.final.examples(key) for key in _stages("student", row)]
        digests = {one.digest if isinstance(one, Examples) else None for one in found}
        return len(digests) == 1 and None not in digests

    def _of_role(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        about = (role, rows[0].metric, *(key for row in rows for key in _stages(role, row))) if rows else ()
        if rows and about not in self.own:
            self.own[about] = self._measure_all(role, rows)
        return [replace(point, **_place(rows[0])) for point in self.own.get(about, ())]

    def _measure_all(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        curves = [(row, curve) for row in rows if (curve := self._curve(role, getattr(row, f"{role}_key")))]
        found = [(row, curve, self._measure(role, row, curve)) for row, curve in curves]
        if role == "student":
            self.steps |= {(row.metric, *_stages(role, row)): _steps(row.metric, at, known) for row, at, known in found}
        # Evaluations are matched by their number: trainings of one setting may differ by a few steps.
        common = min((len(curve) for _, curve in curves), default=0)
        last = [(row, curve[-common:], measured[-common:]) for row, curve, measured in found]
        return [
            self._point(role, number, [(row, curve[number], measured[number]) for row, curve, measured in last])
            for number in range(common)
        ]

    def _curve(self, role: str, key: str) -> list[Evaluated]:
        if key in self.curves:
            return self.curves[key]
        path = self.store.path(key) / CURVE
        try:
            found = [self._share_ids(one) for one in read_curve(path)] if path.is_file() else []
        except StoreError:
            found = []  # a curve is no result: `w2s verify` tells of damage
        if role != "student":
            self.curves[key] = found
        return found

    def _share_ids(self, one: Evaluated) -> Evaluated:
        return replace(one, ids=self.ids.setdefault("\n".join(one.ids.tolist()), one.ids))

    def _point(self, role: str, number: int, found: Sequence[tuple[Row, Evaluated, Measured]]) -> CurvePoint:
        first, cells = found[0][0], [measured for *_, measured in found]
        metric = first.metric
        recovery = recover_cells(cells, metric, self.designs) if role == "student" else None
        known = defaultdict[str, Interval](lambda: NONE, means(cells, self.designs))
        return CurvePoint(
            **_place(first),
            role=role,
            seeds=tuple(sorted(row.seed for row, *_ in found)),
            evaluation=number + 1,
            step=round(fmean(at.step for _, at, _ in found)),
            steps=round(fmean(at.steps for _, at, _ in found)),
            n_test=max(len(at.ids) for _, at, _ in found),
            value=known[f"{metric}/{role}"],
            weak=known[f"{metric}/weak"] if role == "student" else NONE,
            ceiling=known[f"{metric}/ceiling"] if role == "student" else NONE,
            pgr=NONE if recovery is None else recovery.pgr,
            unidentified="" if recovery is None else recovery.reason,
            accuracy=known[f"accuracy/{role}"],
            auroc=known[f"auroc/{role}"],
            agreement=known["agreement"],
            agreement_supervisor_right=known["agreement/supervisor_right"],
            agreement_supervisor_wrong=known["agreement/supervisor_wrong"],
        )

    def _measure(self, role: str, row: Row, curve: Sequence[Evaluated]) -> list[Measured]:
        """What is known of one seed's examples after each evaluation; those of the same rows are measured together."""
        found: dict[int, Measured] = {}
        for which in dict.fromkeys(id(at.ids) for at in curve):
            places = [place for place, at in enumerate(curve) if id(at.ids) == which]
            found |= zip(places, self._measure_rows(role, row, [curve[place] for place in places]), strict=True)
        return [found[place] for place in range(len(curve))]

    def _measure_rows(self, role: str, row: Row, curve: Sequence[Evaluated]) -> list[Measured]:
        ids, probs, several = curve[0].ids, np.stack([at.probs for at in curve]), dict[str, "Several"]()
        weak = self._final(row.weak_key if role == "student" else getattr(row, f"{role}_key"), ids)
        for name in dict.fromkeys((*SCORES, row.metric)):
            for one in ROLES if role == "student" else (role,):
                lasting = one != role
                several[f"{name}/{one}"] = (
                    [self._final_scores(name, getattr(row, f"{one}_key"), ids)] * len(curve)
                    if lasting
                    else [METRICS[name].scores_of(replace(weak, probs=probs[place])) for place in range(len(curve))]
                )
        if role == "student":
            found = agreement_scores(probs.argmax(2), weak.probs.argmax(1), weak.truth)
            several |= {name: [None] * len(curve) if scores is None else scores for name, scores in found.items()}
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


def _steps(metric: str, curve: Sequence[Evaluated], measured: Sequence[Measured]) -> tuple[StudentStep, ...]:
    return tuple(_step(metric, at, one.columns) for at, one in zip(curve, measured, strict=True))


def _step(metric: str, at: Evaluated, columns: Columns) -> StudentStep:
    def mean(name: str) -> float | None:
        return None if (column := columns[name]) is None else float(column.mean())

    return StudentStep(
        step=at.step,
        **{role: mean(f"{metric}/{role}") for role in ROLES},
        agreement=mean("agreement"),
        agreement_supervisor_right=mean("agreement/supervisor_right"),
        agreement_supervisor_wrong=mean("agreement/supervisor_wrong"),
    )


def _stages(role: str, row: Row) -> tuple[str, ...]:
    """The stages that a point depends on."""
    return (row.weak_key, row.student_key, row.ceiling_key) if role == "student" else (getattr(row, f"{role}_key"),)


def _place(row: Row) -> dict[str, Any]:
    """Where in the sweep a point stands."""
    names = ("group", "dataset", "weak_params", "strong_params")
    return vars(row.setting) | {name: getattr(row, name) for name in names}
