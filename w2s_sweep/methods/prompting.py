"""Few-shot prompting with weak labels (Burns et al. 2023, section 5.2.1): the strong model is shown examples and their
weak labels in its context instead of being trained on them."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.labels import Calibration
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.setup import Setup

TOLD = ("validation", "test")
"""Splits that a prompted role is asked about: not half B, whose rows stand in its prompt."""


@schema
class Prompting(Method):
    """The strong model is prompted with examples of half B, each class equally often, that the supervisor labelled.

    weak: as in `naive`. student: the prompted strong model; the cell's loss has no part in it. ceiling: as in `naive`,
    trained on all of half B; or `prompted` with as many true examples, which are drawn in the same order. How the task
    is put into words is `dataset.prompt`.
    """

    name: Literal["prompting"] = "prompting"
    shots: Annotated[int, Field(ge=0, le=1000)] = 8
    """Examples in the prompt; 0 is zero-shot prompting, without any supervision."""
    calibrate: Calibration = "median"
    """How the model's bias to one of the two words is taken out: none; median of its answers to validation, without
    their labels; contextual. Small models are of little use without: the order of examples decides what they say."""
    ceiling: Literal["trained", "prompted"] = "trained"

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        student = self._prompt(cell, build, "student", weak)
        if self.ceiling == "trained" or cell.ceiling.skip:
            ceiling = build.ceiling(cell.strong)
        else:
            ceiling = self._prompt(cell, build, "ceiling", GROUND_TRUTH)
        return Roles(weak=weak, student=student, ceiling=ceiling)

    def _prompt(self, cell: Setup, build: Builder, role: str, labels: str | None) -> str:
        return build.prompt(
            cell.strong, role=role, calibrate=self.calibrate, shots=self.shots, labels=labels, splits=TOLD
        )
