"""Contrast-consistent search (Burns et al. 2022, arXiv 2212.03827): what the strong model's features say that is
consistent under negation, found without labels."""

from typing import ClassVar, Literal

from w2s_sweep.config.finetune import Penalty
from w2s_sweep.config.model import Count, Rate
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Ccs(Method):
    """The student is a probe on contrast pairs: each text with either answer of `dataset.prompt` after it.

    weak: as in `naive`; its labels of half B decide one bit, which side of the probe is class 1. student: trained on
    half B without labels; the loss and the fine-tuning of the cell have no part in it. ceiling: as in `naive`.
    """

    two_classes: ClassVar[str] = "its loss is on the two answers of a contrast pair, which exclude each other"

    name: Literal["ccs"] = "ccs"
    tries: Count = 10
    """Probes that begin at random; that with the smallest loss is taken."""
    epochs: Count = 1000
    """Steps, each over all rows."""
    lr: Rate = 1e-2
    weight_decay: Penalty = 0.01
    """Decoupled (AdamW)."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        student = build.ccs(
            weak,
            cell.strong,
            role="student",
            on="half_b",
            tries=self.tries,
            epochs=self.epochs,
            lr=self.lr,
            weight_decay=self.weight_decay,
        )
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
