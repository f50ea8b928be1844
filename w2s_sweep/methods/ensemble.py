"""An ensemble of weak supervisors (EnsemW2S, arXiv 2410.04571, without its boosting; bagging with halves instead of
bootstrap samples: Buehlmann and Yu 2002, "Analyzing bagging")."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles

if TYPE_CHECKING:
    from w2s_sweep.config.cell import Cell

STRIDE = 1_000_003
"""Between the seeds of members, so that the ensembles of neighbouring seeds share nobody."""


@schema
class Ensemble(Method):
    """The student trains on half B with what several supervisors of the same model say together.

    weak: the ensemble, scored as a whole. student: trained on its labels. ceiling: as in `naive`. Without bagging the
    members differ in initialisation and in the order of their examples, and the first is the supervisor of `naive`.
    """

    name: Literal["ensemble"] = "ensemble"
    members: Annotated[int, Field(ge=2, le=100)] = 5
    bagging: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """Share of half A, drawn without replacement, that each member trains on; null gives everybody all of it."""
    rule: Literal["mean", "vote"] = "mean"
    """mean probability, or share of the members' votes."""

    def graph(self, cell: "Cell", build: Builder) -> Roles:
        weak = build.combine([self._member(cell, build, i) for i in range(self.members)], role="weak", rule=self.rule)
        student = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        ceiling = build.train(cell.strong, role="ceiling", on="half_b", labels=GROUND_TRUTH)
        return Roles(weak=weak, student=student, ceiling=ceiling)

    def _member(self, cell: "Cell", build: Builder, index: int) -> str:
        seed = (cell.seed + index * STRIDE) % 2**31
        if self.bagging is None:
            return build.train(cell.weak, role="weak", on="half_a", labels=GROUND_TRUTH, seed=seed)
        bag = build.reveal(cell.weak, on="half_a", share=self.bagging, choose="random", seed=seed)
        return build.train(cell.weak, role="weak", on="half_a", labels=bag, seed=seed, partial=True)
