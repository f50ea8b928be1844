"""An ensemble of different weak models, as different experts (Cui et al. 2024, "Bayesian WeakS-to-Strong", arXiv
2406.03199; EnsemW2S, arXiv 2410.04571)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class WeakEnsemble(Method):
    """The student trains on half B with what the cell's weak model and `others` say together.

    weak: the ensemble, scored as a whole. student: trained on its labels. ceiling: as in `naive`. Each member is the
    supervisor of a `naive` cell with its model, and shared with it. Bayesian WeakS-to-Strong is rule=vote with
    loss=evidential.
    """

    needs_weak_model: ClassVar[bool] = True

    name: Literal["weak_ensemble"] = "weak_ensemble"
    others: Annotated[tuple[Model, ...], Field(min_length=1)]
    """The weak models besides the cell's own."""
    rule: Literal["mean", "vote", "learned"] = "mean"
    """How their labels become one; learned spends the truth of the validation split."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        members = [
            build.train(model, role="weak", on="half_a", labels=GROUND_TRUTH)
            for model in (cell.weak_model, *self.others)
        ]
        weak = build.combine(members, role="weak", rule=self.rule)
        student = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
