"""Naive weak-to-strong fine-tuning (Burns et al. 2023, section 3)."""

from typing import ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Naive(Method):
    """The student trains on half B with the supervisor's soft labels; the ceiling on the same rows with the truth."""

    takes_texts: ClassVar[bool] = True

    name: Literal["naive"] = "naive"

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        student = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
