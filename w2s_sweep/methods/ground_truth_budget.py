"""A budget of ground-truth labels among the weak ones (the trade of label quality for quantity of arXiv 2410.13215)."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class GroundTruthBudget(Method):
    """The student trains on half B, where a share of the rows has its true label and the rest its weak one.

    weak: the supervisor, without the budget. student: trained on the mixture. ceiling: as in `naive`. With one seed and
    supervisor, the rows of a larger budget contain those of a smaller one.
    """

    name: Literal["ground_truth_budget"] = "ground_truth_budget"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of half B whose truth is given."""
    choose: Literal["random", "least_sure"] = "random"
    """Whose: drawn rows, or those that the supervisor is least sure of."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        mixed = build.reveal(
            cell.weak or cell.strong, on="half_b", share=self.share, choose=self.choose, seed=cell.seed, labels=weak
        )
        student = build.train(cell.strong, role="student", on="half_b", labels=mixed, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
