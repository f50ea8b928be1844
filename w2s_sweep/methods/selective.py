"""Selective weak-to-strong generalization (Lang, Huang and Li 2025, arXiv 2511.14166): weak supervision only where the
strong model does not know the answer itself."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.finetune import Share
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.labels import Calibration
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Selective(Method):
    """Each row of half B has the strong model's own label where P(IK), "I know", says so, and the weak label elsewhere.

    weak: as in `naive`. P(IK): the strong model, trained by cross-entropy on half A to tell where its own prompted
    answer is right (Kadavath et al. 2022, arXiv 2207.05221), with one hard answer a row in place of samples. student:
    trained on the routed labels. ceiling: as in `naive`. The paper's graph smoothing of weak labels is that of
    `knn_relabel`: a mean over neighbours in the strong model's features. Few-shot examples are true ones of half A;
    these few rows stay among those that P(IK) learns from.
    """

    two_classes: ClassVar[str] = "what P(IK) learns, right or wrong, has two classes, as its head has those of the task"

    name: Literal["selective"] = "selective"
    shots: Annotated[int, Field(ge=0, le=1000)] = 0
    """True examples of half A in the prompt that own labels come from; 0 is zero-shot."""
    calibrate: Calibration = "median"
    """How the model's bias to one of the two words is taken out: none, median or contextual."""
    harden: bool = True
    """Own labels are 0 or 1, like generated answers, not how sure the model is."""
    threshold: Share = 0.5
    """P(IK) from which on the model's own label is taken."""
    neighbours: Annotated[int, Field(ge=0)] = 10
    """Neighbours that weak labels are smoothed over before routing; 0 leaves them as they are."""
    weight: Annotated[Share, Field(gt=0)] = 0.5
    """Weight of the neighbours' mean; the rest is the row's own weak label."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        own = build.prompt(
            cell.strong, role="labels", calibrate=self.calibrate, harden=self.harden, shots=self.shots, on="half_a"
        )
        right = build.correct(own, on="half_a")
        knows = build.train(cell.strong, role="p_ik", on="half_a", labels=right)
        smooth = weak
        if self.neighbours:
            smooth = build.relabel(weak, cell.strong, on="half_b", k=self.neighbours, weight=self.weight)
        labels = build.route(smooth, own, knows, on="half_b", threshold=self.threshold)
        student = build.train(cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
