"""No supervision at all: the student trains on labels that the strong model gives itself, untrained. In the same table
as weak-to-strong methods it shows what the supervisor adds to what a prompt alone elicits."""

from typing import Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.labels import Calibration
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Elicitation(Method):
    """The student trains on the strong model's zero-shot labels of half B.

    weak: as in `naive`; it labels nothing here, PGR is measured against it. ceiling: as in `naive`. How the task is put
    into words is `dataset.prompt`. Labels that are made coherent are `icm` and `icm_features`.
    """

    name: Literal["elicitation"] = "elicitation"
    calibrate: Calibration = "median"
    """How the model's bias to one of the two words is taken out: none, median or contextual."""
    harden: bool = True
    """Train on the labels alone, not on how sure they are."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        labels = build.prompt(cell.strong, role="labels", calibrate=self.calibrate, harden=self.harden)
        student = build.train(cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
