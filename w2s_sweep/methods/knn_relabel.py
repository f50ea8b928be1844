"""Weak labels smoothed over neighbours in the strong model's representation, which corrects a label that differs from
those of similar texts (Wilson 1972, edited nearest neighbours, with soft labels)."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.finetune import Share
from w2s_sweep.config.model import Count
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class KnnRelabel(Method):
    """The student trains on half B with weak labels that are averaged over the nearest rows of half B.

    weak: the supervisor, before smoothing. student: trained on the smoothed labels. ceiling: as in `naive`. Neighbours
    are found by cosine in the frozen features of the strong model, whatever the kind of fine-tuning.
    """

    name: Literal["knn_relabel"] = "knn_relabel"
    k: Count = 10
    """Neighbours that are averaged over, the row itself not counted."""
    weight: Annotated[Share, Field(gt=0)] = 0.5
    """Weight of the neighbours' mean; the rest is the row's own weak label."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        smooth = build.relabel(weak, cell.strong, on="half_b", k=self.k, weight=self.weight)
        student = build.train(cell.strong, role="student", on="half_b", labels=smooth, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
