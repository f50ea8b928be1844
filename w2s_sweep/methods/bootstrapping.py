"""Bootstrapping through models of intermediate size (Burns et al. 2023, section 4.3.1)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Bootstrapping(Method):
    """The supervisor teaches the first model of the chain, each model the next, the last one the student, on half B.

    weak: the supervisor at the start of the chain. student: the strong model at its end. ceiling: as in `naive`, on the
    rows of the student.
    """

    takes_texts: ClassVar[bool] = True

    name: Literal["bootstrapping"] = "bootstrapping"
    chain: Annotated[tuple[Model, ...], Field(min_length=1)]
    """The models between weak and strong, the smallest first."""
    link_loss: Literal["cell", "xent"] = "cell"
    """How the models of the chain learn: with the cell's loss, or with cross-entropy so that all losses share them."""

    rows: Literal["same", "fresh"] = "same"
    """same: every step learns from all of half B, as in the paper's NLP tasks. fresh: half B is dealt out to the steps
    in portions of equal size, as for chess, where every step took new puzzles (appendix A)."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        loss = cell.loss if self.link_loss == "cell" else CrossEntropy()
        teacher, steps = weak, len(self.chain) + 1
        portions = [(number, steps) if self.rows == "fresh" else None for number in range(steps)]
        for model, portion in zip(self.chain, portions, strict=False):
            teacher = build.train(model, role="link", on="half_b", portion=portion, labels=teacher, loss=loss)
        student = build.train(
            cell.strong, role="student", on="half_b", portion=portions[-1], labels=teacher, loss=cell.loss
        )
        ceiling = build.ceiling(cell.strong, portion=portions[-1])
        return Roles(weak=weak, student=student, ceiling=ceiling)
