"""A second objective that is at odds with the truth (Yang et al. 2024, "Super(ficial)-alignment", arXiv 2406.11431):
does the student give up what it knows, and where its supervisor would not notice?"""

from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.finetune import Share
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles

if TYPE_CHECKING:
    from w2s_sweep.config.cell import Cell


@schema
class Conflict(Method):
    """The student of `naive` with another objective beside the weak labels.

    weak, ceiling: as in `naive`. student: trained on half B with the conflict. reference: the student of `naive`, which
    the deception score compares with (`metrics.deception`). The paper's implicit conflict, rows of another data set
    with its own labels mixed in, needs a second data set and is not here; `opposite` is the nearest with one.
    """

    name: Literal["conflict"] = "conflict"
    kind: Literal["explicit", "opposite"] = "explicit"
    """explicit: the loss rewards predictions that contradict the truth. opposite: rows of half B carry the label that
    contradicts the truth instead of a weak one."""
    strength: Share = 0.5
    """explicit: weight of the reward, the paper's alpha. opposite: share of the rows of half B. 0 is no conflict."""

    def graph(self, cell: "Cell", build: Builder) -> Roles:
        weak = build.train(cell.weak, role="weak", on="half_a", labels=GROUND_TRUTH)
        plain = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        student = self._student(cell, build, weak) if self.strength else plain
        ceiling = build.train(cell.strong, role="ceiling", on="half_b", labels=GROUND_TRUTH)
        return Roles(weak=weak, student=student, ceiling=ceiling, reference=plain)

    def _student(self, cell: "Cell", build: Builder, weak: str) -> str:
        if self.kind == "explicit":
            return build.train(
                cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss, conflict=self.strength
            )
        mixed = build.reveal(
            cell.weak, on="half_b", share=self.strength, choose="random", seed=cell.seed, labels=weak, opposite=True
        )
        return build.train(cell.strong, role="student", on="half_b", labels=mixed, loss=cell.loss)
