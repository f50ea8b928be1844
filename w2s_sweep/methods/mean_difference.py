"""Difference of means (Marks and Tegmark 2023, arXiv 2310.06824): the direction between the means of two classes, which
nothing is trained for."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class MeanDifference(Method):
    """The student is the difference of the class means of the strong model's frozen features, by weak labels.

    weak: as in `naive`. student: the means are weighted by the supervisor's labels of half B; the loss and the
    fine-tuning of the cell have no part in it. ceiling: as in `naive`, trained.
    """

    name: Literal["mean_difference"] = "mean_difference"
    whiten: bool = False
    """Divide by the covariance within classes, the paper's probe for data of one distribution."""
    penalty: Annotated[float, Field(gt=0)] = 0.1
    """Added to the diagonal of that covariance, in units of its mean."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        student = build.mean_difference(
            weak, cell.strong, role="student", on="half_b", whiten=self.whiten, penalty=self.penalty
        )
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
