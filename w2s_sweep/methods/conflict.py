"""A second objective beside the weak labels (Yang et al. 2024, "Super(ficial)-alignment", arXiv 2406.11431): does the
student give up what it knows, and where its supervisor would not notice?"""

from dataclasses import replace
from typing import Literal

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Share
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Mixed, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Conflict(Method):
    """The student of `naive` with another objective beside the weak labels.

    weak, ceiling: as in `naive`; they see nothing of the conflict. student: trained on half B with the conflict.
    reference: the student of `naive`, which the deception score compares with (`metrics.deception`). Scores are those
    on the cell's dataset alone.
    """

    name: Literal["conflict"] = "conflict"
    kind: Literal["explicit", "implicit", "opposite"] = "explicit"
    """explicit: the loss rewards predictions that contradict the truth. implicit: rows of another dataset with its own
    true labels are mixed in, one loss over all, as helpfulness beside harmlessness in the paper. opposite (ours): rows
    of half B carry the label that contradicts the truth instead of a weak one."""
    strength: Share = 0.5
    """explicit: weight of the reward, the paper's alpha. implicit: rows mixed in for each row of half B; 1 in the
    paper. opposite: share of the rows of half B. 0 is no conflict."""
    mix: Dataset | None = None
    """implicit: the other dataset, by the name of a file in conf/dataset, or {dataset: NAME, n_train: 500}."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        plain = build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss)
        student = self._student(cell, build, weak) if self.strength else plain
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling, reference=plain)

    def _student(self, cell: Setup, build: Builder, weak: str) -> str:
        if self.kind == "explicit":
            return build.train(
                cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss, conflict=self.strength
            )
        if self.kind == "implicit":
            assert self.mix is not None, "cells.checks refuses it"
            mixed = Mixed(replace(self.mix, max_tokens=cell.dataset.max_tokens), self.strength)
            return build.train(cell.strong, role="student", on="half_b", labels=weak, loss=cell.loss, mixed=mixed)
        against = build.reveal(
            cell.weak or cell.strong,
            on="half_b",
            share=self.strength,
            choose="random",
            seed=cell.seed,
            labels=weak,
            opposite=True,
        )
        return build.train(cell.strong, role="student", on="half_b", labels=against, loss=cell.loss)
