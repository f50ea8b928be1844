"""Iterative label refinement (Ye, Laidlaw and Steinhardt 2025, arXiv 2501.07886): comparisons improve the labels that
the student is trained on, not the student."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.finetune import Share
from w2s_sweep.config.model import Count, Model
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.setup import Setup

HALVES = ((0, 2), (1, 2))
"""Portions of a split, each a half."""


@schema
class LabelRefinement(Method):
    """In each round two fresh strong models learn from one half of half B's labels each, by cross-entropy whatever the
    cell's loss, and propose labels for the other half; where a judge as weak as the supervisor finds a proposal better,
    it takes the place of the label.

    weak: the supervisor. student: the strong model, trained on the labels of the last round. ceiling: as in `naive`.
    The paper's judge is a small model that was trained to compare answers. Of classes a comparison is how likely each
    one is, so that the judge is a classifier, trained on the truth of half A; the supervisor itself would never change
    its mind, and one that has its mistakes changes little. Rows whose proposal is the class that they have keep it.
    """

    needs_weak_model: ClassVar[bool] = True

    name: Literal["label_refinement"] = "label_refinement"
    rounds: Count = 2
    """How often labels are refined before the student is trained; the paper's code goes on to six."""
    max_replace: Annotated[Share, Field(gt=0)] = 0.15
    """Largest share of the rows whose proposal differs that a round replaces; .15 in the paper's code."""
    judge: Model | None = None
    """The model that compares, as one that sees other things than the weak model; null is the weak model, trained on
    half of half A."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = labels = build.supervisor()
        model, portion = (cell.weak_model, HALVES[0]) if self.judge is None else (self.judge, None)
        judge = build.train(model, role="link", on="half_a", labels=GROUND_TRUTH, portion=portion)
        for _ in range(self.rounds):
            halves = [
                build.train(cell.strong, role="link", on="half_b", labels=labels, portion=portion) for portion in HALVES
            ]
            proposals = build.predict_held_out(halves)
            labels = build.refine(labels, proposals, judge, on="half_b", max_replace=self.max_replace)
        student = build.train(cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss)
        return Roles(weak=weak, student=student, ceiling=build.ceiling(cell.strong))
