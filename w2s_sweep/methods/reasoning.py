"""Weak-to-strong reasoning: the student learns worked solutions of the weak model, of which only those are kept whose
final answer it gives again and again (Yang et al. 2024, arXiv 2407.13647, section 3.2; self-consistency of Wang et al.
2022, arXiv 2203.11171). With `preference` it goes on to prefer its own agreed ones to those that end elsewhere, after
that paper's second stage."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.model import Count
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Reasoning(Method):
    """For tasks whose answer is worked out in writing.

    weak: the supervisor. student: trained on one solution of the supervisor's to each row of half B to which enough of
    its samples give the same answer. ceiling: as in `naive`.
    """

    takes_texts: ClassVar[bool] = True
    needs_targets: ClassVar[bool] = True
    needs_weak_model: ClassVar[bool] = True
    reads_weights: ClassVar[bool] = True

    name: Literal["reasoning"] = "reasoning"
    samples: Annotated[int, Field(ge=2, le=1000)] = 8
    """Solutions that are drawn to each row."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.7
    """Of the softmax that tokens are drawn from."""
    least: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Least share of the samples that give the answer of a solution that is kept."""
    ended: bool = False
    """Keep only solutions that the weak model ended by itself: one that was cut may hold a number by chance."""
    own: bool = False
    """Also ask a first student, trained on the greedy solutions to all rows: what is kept is what its samples answer
    most often too."""
    preference: bool = False
    """Go on with a second stage: the student learns by DPO to prefer its own samples, where the share `least` of them
    agrees, to the weak model's that answer otherwise."""
    beta: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Of the second stage: how strongly it is held to the first one (DPO's beta)."""
    preference_epochs: Count = 1
    """Passes over the pairs."""
    preference_lr: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate of the second stage; null is a tenth of the first one's."""
    vote: Annotated[int, Field(ge=0, le=1000)] = 0
    """Score weak, student and ceiling by the answer that most of so many samples give (maj@n); 0: by the likeliest
    text."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        drawn = build.sample(
            weak, splits=("half_b", "validation"), count=self.samples, temperature=self.temperature, role="labels"
        )
        agreed = build.agree(drawn, on="half_b", least=self.least, own=self._own(cell, build, weak), ended=self.ended)
        student = self._student(cell, build, agreed, drawn)
        ceiling = build.ceiling(cell.strong)
        if not self.vote:
            return Roles(weak=weak, student=student, ceiling=ceiling)
        return Roles(
            weak=self._vote(build, weak, "weak"),
            student=self._vote(build, student, "student"),
            ceiling=None if ceiling is None else self._vote(build, ceiling, "ceiling"),
        )

    def _own(self, cell: Setup, build: Builder, weak: str) -> str | None:
        if not self.own:
            return None
        first = build.train(cell.strong, role="link", on="half_b", labels=weak, loss=cell.loss)
        return build.sample(first, splits=("half_b",), count=self.samples, temperature=self.temperature, role="labels")

    def _student(self, cell: Setup, build: Builder, agreed: str, drawn: str) -> str:
        role = "link" if self.preference else "student"
        first = build.train(cell.strong, role=role, on="half_b", labels=agreed, loss=cell.loss, partial=True)
        if not self.preference:
            return first
        mine = build.sample(first, splits=("half_b",), count=self.samples, temperature=self.temperature, role="labels")
        return build.prefer(
            first,
            mine,
            drawn,
            role="student",
            on="half_b",
            least=self.least,
            beta=self.beta,
            epochs=self.preference_epochs,
            lr=self.preference_lr,
        )

    def _vote(self, build: Builder, key: str, role: str) -> str:
        return build.sample(key, splits=("test",), count=self.vote, temperature=self.temperature, role=role)
