"""Keep only the weak labels that the supervisor is sure of: selection by confidence, as in self-training (Lee 2013,
pseudo-labels; Sohn et al. 2020, FixMatch, section 2), the plainest form of filtering weak supervision."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class ConfidenceFilter(Method):
    """The student trains on the rows of half B whose weak label is surest; the others are left out.

    weak: the supervisor, all of whose test predictions count. student: trained on what the filter keeps. ceiling: as in
    `naive`, on all of half B, so PGR also pays for the rows that were dropped.
    """

    name: Literal["confidence_filter"] = "confidence_filter"
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the weak labels that is kept."""
    balanced: bool = True
    """Keep the share of each predicted class by itself; otherwise one class may get lost."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        sure = build.filter(weak, on="half_b", share=self.share, balanced=self.balanced)
        student = build.train(cell.strong, role="student", on="half_b", labels=sure, loss=cell.loss, partial=True)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
