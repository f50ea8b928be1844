"""Unsupervised elicitation by internal coherence maximisation (Wen et al. 2025, arXiv 2506.10139): the student trains
on labels that the strong model can predict from each other, and nobody gave."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.finetune import Penalty
from w2s_sweep.config.model import Count
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.labels import Calibration, Groups
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup

Alpha = Annotated[float, Field(gt=0)]
TWO_CLASSES = "its search turns labels over, which is between two"


@schema
class Icm(Method):
    """Labels are predicted in context, as in the paper: the other labelled rows stand in the strong model's prompt.

    weak, ceiling: as in `naive`; the supervisor labels nothing, PGR is measured against it. student: trained on the
    labels found for half B. Defaults are those of the paper's released code; what differs from it is listed in
    stages/annotate.py. A step that changes a label asks about all rows again under nearly as many examples, so the cost
    grows with rows^2 * folds. How the task is put into words is `dataset.prompt`.
    """

    two_classes: ClassVar[str] = TWO_CLASSES

    name: Literal["icm"] = "icm"
    rows: Annotated[int, Field(ge=2)] = 256
    """Rows of half B that are searched over; the rest is answered with these in the prompt."""
    start: Annotated[int, Field(ge=1)] = 8
    """Rows that begin with a random label, as many of each class."""
    steps: Count = 3000
    """Rows that are drawn and given the label that the others predict, one after another."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Rows of a fold are asked about under the labels of all other folds, read once for the fold: 2 is many times as
    fast as null, the paper's leave-one-out."""
    alpha: Alpha = 30.0
    """Weight of coherence against the temperature, which falls from 10 to .01."""
    groups: Groups = "balanced"
    """The constraint without which one label for all rows fits best, as the paper says and as happens here: halves
    where half of the rows of each group are class 1, as in multiple choice; balanced where half of all rows are, as in
    every task here; free is none."""
    harden: bool = True
    """Train on the labels alone, not on how sure they are."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        labels = build.annotate(
            cell.strong,
            on="half_b",
            rows=self.rows,
            start=self.start,
            steps=self.steps,
            folds=self.folds,
            alpha=self.alpha,
            groups=self.groups,
            harden=self.harden,
        )
        student = build.train(cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)


@schema
class IcmFeatures(Method):
    """The same search where a label is predicted from the others by ridge regression on the strong model's frozen
    features, from its zero-shot labels on: minutes where `icm` takes hours, and not what the paper did.

    weak, student, ceiling: as in `icm`. What differs from the paper is listed in stages/elicit.py.
    """

    two_classes: ClassVar[str] = TWO_CLASSES

    name: Literal["icm_features"] = "icm_features"
    calibrate: Calibration = "median"
    """How the model's bias to one of the two words is taken out: none, median or contextual."""
    harden: bool = True
    """Train on the labels alone, not on how sure they are."""
    prior: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the zero-shot log-odds beside what the other labels say; 0 uses them as a start alone."""
    penalty: Annotated[Penalty, Field(gt=0)] = 1.0
    """Ridge penalty, in units of the mean eigenvalue of the features' scatter."""
    alpha: Alpha = 50.0
    """Weight of coherence against the temperature, which falls from 10 to .01."""
    sweeps: Count = 20
    """Steps of the search for each row."""
    groups: Groups = "free"
    """halves where half of the rows of each group are class 1, as in tasks made of multiple choice; balanced where half
    of all rows are. One label for all rows is not coherent here, without any constraint."""

    def graph(self, cell: Setup, build: Builder) -> Roles:
        weak = build.supervisor()
        labels = build.elicit(
            build.prompt(cell.strong, role="labels", calibrate=self.calibrate),
            cell.strong,
            on="half_b",
            prior=self.prior,
            penalty=self.penalty,
            alpha=self.alpha,
            sweeps=self.sweeps,
            groups=self.groups,
            harden=self.harden,
        )
        student = build.train(cell.strong, role="student", on="half_b", labels=labels, loss=cell.loss, partial=True)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
