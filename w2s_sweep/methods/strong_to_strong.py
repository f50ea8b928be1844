"""Strong-to-strong self-training: the student learns again, from its own labels (Lee 2013; compared with weak-to-strong
training by Burns et al. 2023, section 4.3)."""

from typing import ClassVar, Literal

from w2s_sweep.config.model import Count
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class StrongToStrong(Method):
    """A fresh strong model trains on half B with the labels that the student before it gives them, `rounds` times.

    weak: the supervisor. student: the strong model of the last round. ceiling: as in `naive`.
    """

    takes_texts: ClassVar[bool] = True

    name: Literal["strong_to_strong"] = "strong_to_strong"
    rounds: Count = 1
    """Rounds of self-training after the student of `naive`."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        student = weak
        for _ in range(1 + self.rounds):
            student = build.train(cell.strong, role="student", on="half_b", labels=student, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
