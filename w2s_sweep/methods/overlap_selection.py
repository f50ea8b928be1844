"""Train on the rows that are both easy and hard (Shin, Cooper and Sala 2024, "Weak-to-Strong Generalization Through the
Data-Centric Lens", arXiv 2412.03881, section 4.1)."""

from typing import Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.labels import Part
from w2s_sweep.plan.setup import Setup


@schema
class OverlapSelection(Method):
    """The student trains on the rows of half B whose label is sure and that the strong model sees close to unsure ones.

    weak: the supervisor. student: trained on the selected rows. ceiling: as in `naive`, on all of half B. Closeness is
    the cosine in the frozen features of the strong model; both thresholds are change points of the sorted values.
    """

    name: Literal["overlap_selection"] = "overlap_selection"
    part: Part = "overlap"
    """Rows to train on: overlap, or for comparison the easy or the hard rest."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        chosen = build.select(weak, cell.strong, on="half_b", part=self.part)
        student = build.train(cell.strong, role="student", on="half_b", labels=chosen, loss=cell.loss, partial=True)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
