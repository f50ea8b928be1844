"""Generative fine-tuning of the strong model on a task's texts, before supervision (Burns et al. 2023, section
5.2.2)."""

from dataclasses import replace
from typing import ClassVar, Literal

from w2s_sweep.config.model import Adapt
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Generative(Method):
    """Naive training of a strong model that was first trained as a language model on the texts, without any label.

    weak: the supervisor, not adapted. student: the adapted model under its labels. ceiling: the same adapted model with
    the truth. Other methods take an adapted model by `strong.adapt`.
    """

    takes_texts: ClassVar[bool] = True

    name: Literal["generative"] = "generative"
    adapt: Adapt = Adapt()
    """How the strong model is trained on the texts."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        strong = replace(cell.strong, adapt=self.adapt)
        weak = build.supervisor()
        student = build.train(strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        ceiling = build.ceiling(strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
