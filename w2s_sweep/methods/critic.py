"""Critiques for a weak judge: the strong model says what it finds wrong with each text, a weak model that reads both
labels half B, and the student learns these labels (a baseline of a weak-to-strong research sandbox of 2026; critiques
as help for judges: Saunders et al. 2022, arXiv 2206.05802)."""

from typing import ClassVar, Literal

from w2s_sweep.config.model import Count, Model
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Critic(Method):
    """weak: the supervisor, which reads no critique, as PGR is counted from there. judge: the weak model, trained on
    the truth of half A with a critique behind each text. student: trained on the judge's labels of half B, without
    critiques. ceiling: as in `naive`.

    The critic is the strong model as it is, or a model of its own. In the sandbox it is trained as well: first on
    critiques of the weak model, then by reinforcement (GRPO), with a reward of 1 where the judge calls the text wrong.
    Neither is built here; a critic that was trained elsewhere is `critic`.
    """

    needs_weak_model: ClassVar[bool] = True

    name: Literal["critic"] = "critic"
    critic: Model | None = None
    """What writes the critiques; null is the strong model as it is."""
    question: str = "\nIn one sentence, what is wrong with this, if anything?\n"
    """What the critic is asked behind each text."""
    max_new_tokens: Count = 64
    """Most tokens of a critique; with its text it has `dataset.max_tokens`."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        read = build.critique(self.critic or cell.strong, question=self.question, max_new_tokens=self.max_new_tokens)
        judge = build.train(cell.weak_model, role="link", on="half_a", labels=GROUND_TRUTH, data=read)
        student = build.train(cell.strong, role="student", on="half_b", labels=judge, loss=cell.loss)
        return Roles(weak=weak, student=student, ceiling=build.ceiling(cell.strong))
