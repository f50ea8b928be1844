"""No supervision at all: the student trains on labels that the strong model gives itself, untrained. In the same table
as weak-to-strong methods it shows what the supervisor adds to what a prompt alone elicits."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.finetune import Penalty
from w2s_sweep.config.model import Count
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Builder, Roles
from w2s_sweep.plan.labels import Calibrate, Groups

if TYPE_CHECKING:
    from w2s_sweep.config.cell import Cell


@schema
class Elicitation(Method):
    """The student trains on the strong model's own labels of half B.

    weak: as in `naive`; it labels nothing here, PGR is measured against it. student: trained on zero-shot labels, or on
    those that internal coherence maximisation (Wen et al. 2025, arXiv 2506.10139) makes of them. ceiling: as in
    `naive`. `icm` searches for labels that predict each other, by simulated annealing with the paper's constants. In
    place of the model's in-context predictions, a pass through the model for each step, labels are predicted from the
    others by ridge regression on the model's frozen features (stages/elicit.py lists what else differs).
    """

    name: Literal["elicitation"] = "elicitation"
    mode: Literal["zero_shot", "icm"] = "zero_shot"
    """Where labels come from: zero-shot answers, or a coherent set of labels near them."""
    calibrate: Calibrate = "median"
    """How the model's bias to one of the two words is taken out: none, median or contextual."""
    harden: bool = True
    """Train on the labels alone, as in the paper, not on how sure they are."""
    prior: Annotated[float, Field(ge=0)] = 1.0
    """icm: weight of the zero-shot log-odds beside what the other labels say; 0 uses them as a start alone."""
    penalty: Annotated[Penalty, Field(gt=0)] = 1.0
    """icm: ridge penalty, in units of the mean eigenvalue of the features' scatter."""
    alpha: Annotated[float, Field(gt=0)] = 50.0
    """icm: weight of coherence against the temperature, which falls from 10 to .01."""
    sweeps: Count = 20
    """icm: steps of the search for each row."""
    groups: Groups = "free"
    """icm: halves where half of the rows of each group are right, as in tasks made of multiple choice."""

    def graph(self, cell: "Cell", build: Builder) -> Roles:
        weak = build.train(cell.weak, role="weak", on="half_a", labels=GROUND_TRUTH)
        hard = self.harden and self.mode == "zero_shot"
        labels = build.prompt(cell.strong, role="labels", calibrate=self.calibrate, harden=hard)
        if self.mode == "icm":
            labels = build.elicit(
                labels,
                cell.strong,
                on="half_b",
                prior=self.prior,
                penalty=self.penalty,
                alpha=self.alpha,
                sweeps=self.sweeps,
                groups=self.groups,
                harden=self.harden,
            )
        student = build.train(
            cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss, partial=self.mode == "icm"
        )
        ceiling = build.train(cell.strong, role="ceiling", on="half_b", labels=GROUND_TRUTH)
        return Roles(weak=weak, student=student, ceiling=ceiling)
