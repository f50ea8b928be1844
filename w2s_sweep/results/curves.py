"""Curves over training: every number of a group after each evaluation of its stages, from what these predicted then.

A point compares with the final predictions of supervisor and ceiling on the same test rows; its PGR is the ratio of
mean gaps over the seeds, as that of the group is.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import METRICS, Interval, OfMeans, agreement
from w2s_sweep.predictions import CURVE, Evaluated, read_curve
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.records import NONE, ROLES, CurvePoint, Row, StudentStep
from w2s_sweep.results.score import Columns, Measured, means, recover_cells
from w2s_sweep.store import Store

SCORES = ("accuracy", "auroc")
"""Metrics of every point."""


class Final(Protocol):
    """What stages predict in the end, by their keys."""

    def examples(self, key: str) -> "Examples | str": ...


@dataclass
class CurveReader:
    """The curves of stages, each read once and measured once however many groups share the stages."""

    store: Store
    final: Final
    curves: dict[str, list[Evaluated]] = field(default_factory=dict[str, list[Evaluated]])
    scores: dict[tuple[str, int, str, bytes], "Array | None"] = field(
        default_factory=dict[tuple[str, int, str, bytes], "Array | None"]
    )
    """(stage, step or 0 for its end, metric, which rows) -> what each row adds."""

    own: dict[tuple[str, ...], list[CurvePoint]] = field(default_factory=dict[tuple[str, ...], list[CurvePoint]])
    """(role, metric, stages of the seeds) -> their points, for the groups that share them."""
    steps: dict[tuple[str, ...], tuple[StudentStep, ...]] = field(
        default_factory=dict[tuple[str, ...], tuple[StudentStep, ...]]
    )
    """(metric, stages of a cell) -> the evaluations of its student."""
    parts: dict[tuple[str, bytes], Examples] = field(default_factory=dict[tuple[str, bytes], Examples])
    """(stage, which rows) -> its final predictions on these rows."""

    def points(self, rows: Sequence[Row]) -> list[CurvePoint]:
        """The points of cells that differ in the seed only, role by role, of the seeds that have a curve."""
        done = [row for row in rows if row.state == "done" and self._is_comparable(row)]
        return [point for role in ROLES for point in self._of_role(role, done)]

    def student_steps(self, row: Row) -> tuple[StudentStep, ...]:
        """What a cell's student was worth after each of its evaluations; none where the cell has no such curve."""
        about = (row.metric, *_stages("student", row))
        if about not in self.steps:
            known = row.state == "done" and self._is_comparable(row)
            found = [self._step(row, at) for at in self._curve(row.student_key)] if known else []
            self.steps[about] = tuple(found)
        return self.steps[about]

    def _step(self, row: Row, at: Evaluated) -> StudentStep:
        columns = self._measure("student", row, at).columns
        values = {name: None if column is None else float(column.mean()) for name, column in columns.items()}
        return StudentStep(
            step=at.step,
            **{role: values[f"{row.metric}/{role}"] for role in ROLES},
            agreement=values["agreement"],
            agreement_supervisor_right=values["agreement/supervisor_right"],
            agreement_supervisor_wrong=values["agreement/supervisor_wrong"],
        )

    def _is_comparable(self, row: Row) -> bool:
        """Whether all roles predict the same test rows: a file that supervises may lack some or all of them."""
        found = [self.final.examples(key) for key in _stages("student", row)]
        digests = {one.digest if isinstance(one, Examples) else None for one in found}
        return len(digests) == 1 and None not in digests

    def _of_role(self, role: str, rows: Sequence[Row]) -> list[CurvePoint]:
        known = [(row, curve) for row in rows if (curve := self._curve(getattr(row, f"{role}_key")))]
        if not known:
            return []
        # Evaluations are matched by their number: trainings of one setting may differ by a few steps.
        common = min(len(curve) for _, curve in known)
        about = (role, rows[0].metric, *(key for row, _ in known for key in _stages(role, row)))
        if about not in self.own:
            self.own[about] = [
                self._point(role, number, [(row, curve[len(curve) - common + number]) for row, curve in known])
                for number in range(common)
            ]
        return [replace(point, **_place(rows[0])) for point in self.own[about]]

    def _curve(self, key: str) -> list[Evaluated]:
        if key not in self.curves:
            path = self.store.path(key) / CURVE
            try:
                self.curves[key] = read_curve(path) if path.is_file() else []
            except StoreError:
                self.curves[key] = []  # a curve is no result: `w2s verify` tells of damage
        return self.curves[key]

    def _point(self, role: str, number: int, found: Sequence[tuple[Row, Evaluated]]) -> CurvePoint:
        first = found[0][0]
        cells = [self._measure(role, row, at) for row, at in found]
        metric = first.metric
        recovery = recover_cells(cells, metric) if role == "student" else None
        known = defaultdict[str, Interval](lambda: NONE, means(cells))
        return CurvePoint(
            **_place(first),
            role=role,
            seeds=tuple(sorted(row.seed for row, _ in found)),
            evaluation=number + 1,
            step=round(fmean(at.step for _, at in found)),
            steps=round(fmean(at.steps for _, at in found)),
            n_test=max(len(at.ids) for _, at in found),
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

    def _measure(self, role: str, row: Row, at: Evaluated) -> Measured:
        """What is known of one seed's examples after an evaluation."""
        which, columns = hashlib.sha256("\n".join(at.ids.tolist()).encode()).digest(), Columns()
        final = {name: self._final(getattr(row, f"{name}_key"), at, which) for name in ROLES}
        truth, probs = final["weak"].truth, {name: one.probs for name, one in final.items()} | {role: at.probs}
        for name in dict.fromkeys((*SCORES, row.metric)):
            for one in ROLES if role == "student" else (role,):
                about = (getattr(row, f"{one}_key"), at.step if one == role else 0, name, which)
                if about not in self.scores:
                    self.scores[about] = METRICS[name].scores(probs[one], truth)
                columns[f"{name}/{one}"] = self.scores[about]
        if role == "student":
            columns |= {name: mean.scores() for name, mean in _agreements(probs, truth).items()}
        return Measured(final["weak"].groups, columns)

    def _final(self, key: str, at: Evaluated, which: bytes) -> Examples:
        """The final predictions of a finished stage on the rows of an evaluation, in its order."""
        if (key, which) not in self.parts:
            found = self.final.examples(key)
            assert isinstance(found, Examples), "the cell is done"
            self.parts[key, which] = found.on(at.ids)
        return self.parts[key, which]


def _stages(role: str, row: Row) -> tuple[str, ...]:
    """The stages that a point depends on."""
    return (row.weak_key, row.student_key, row.ceiling_key) if role == "student" else (getattr(row, f"{role}_key"),)


def _place(row: Row) -> dict[str, Any]:
    """Where in the sweep a point stands."""
    names = ("group", "dataset", "weak_params", "strong_params")
    return vars(row.setting) | {name: getattr(row, name) for name in names}


def _agreements(probs: Mapping[str, Array], truth: Array) -> dict[str, OfMeans]:
    found = agreement(probs["student"], probs["weak"], truth)
    return {
        "agreement": found.overall,
        "agreement/supervisor_right": found.supervisor_right,
        "agreement/supervisor_wrong": found.supervisor_wrong,
    }
