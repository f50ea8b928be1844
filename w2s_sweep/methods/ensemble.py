"""An ensemble of weak supervisors: bagged (with halves instead of bootstrap samples: Buehlmann and Yu 2002, "Analyzing
bagging"), boosted (EnsemW2S, arXiv 2410.04571), or different by their seeds."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.labels import Rule
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.setup import Setup

STRIDE = 1_000_003
"""Between the seeds of members, so that the ensembles of neighbouring seeds share nobody."""


@schema
class Ensemble(Method):
    """The student trains on half B with what several supervisors of the same model say together.

    weak: the ensemble, scored as a whole. student: trained on its labels. ceiling: as in `naive`. Without bagging the
    members differ in initialisation and in the order of their examples, and the first is the supervisor of `naive`.
    Unlike in the code of EnsemW2S, rows are dealt at random and not from easy to hard, boosted examples are weighted
    and not drawn again, and the ensemble's labels stay soft.
    """

    needs_weak_model: ClassVar[bool] = True

    name: Literal["ensemble"] = "ensemble"
    members: Annotated[int, Field(ge=2, le=100)] = 5
    bagging: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """Share of half A, drawn without replacement, that each member trains on; null gives everybody all of it."""
    rule: Rule = "mean"
    """mean probability, share of the members' votes, mean with weights learned on the truth of the validation split (a
    small budget of it), or boosted: members train one after another on half A, where rows that the earlier ones get
    wrong count more. See `stages.combine` and `stages.weigh`."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        members: list[str] = []
        for index in range(self.members):
            members.append(self._member(cell, build, index, members))
        weak = build.combine(members, role="weak", rule=self.rule)
        student = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)

    def _member(self, cell: Setup, build: Builder, index: int, earlier: Sequence[str]) -> str:
        seed = (cell.seed + index * STRIDE) % 2**31
        bag = GROUND_TRUTH
        if self.bagging is not None:
            bag = build.reveal(cell.weak_model, on="half_a", share=self.bagging, choose="random", seed=seed)
        return build.train(
            cell.weak_model,
            role="weak",
            on="half_a",
            labels=bag,
            seed=seed,
            partial=self.bagging is not None,
            weights=build.weigh(earlier, on="half_a") if self.rule == "boosted" and earlier else None,
            also_predict=("half_a",) if self.rule == "boosted" else (),
        )
