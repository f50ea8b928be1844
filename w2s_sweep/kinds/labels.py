"""The kinds that make labels out of labels: they train nothing and open no model."""

from typing import ClassVar, Literal

from w2s_sweep.config.dataset import Partition, Split
from w2s_sweep.config.schema import schema
from w2s_sweep.config.supervisor import LabelColumns, Policy, Repeated
from w2s_sweep.kinds.base import Divided, Hashed, Hints, Identity, InputName, Kind, Opened
from w2s_sweep.kinds.cost import Cost
from w2s_sweep.kinds.memory import ON_CPU, Memory
from w2s_sweep.kinds.shape import Shape

Rule = Literal["mean", "vote", "learned", "boosted"]
"""How the predictions of several stages become one, see `stages.combine`."""

Choose = Literal["random", "least_sure"]
"""Which rows a budget of ground truth goes to: drawn, or those whose label is least sure."""

Part = Literal["overlap", "easy", "hard"]
"""Rows with a sure label that are similar to rows with an unsure one; sure rows that are not; unsure rows."""

Calibration = Literal["none", "median", "contextual"]
"""How the bias of a prompted model to one of its words is removed: not at all; by the median of its answers to texts
outside the test set, as in a balanced task; by its answers to texts without content (Zhao et al. 2021)."""

Groups = Literal["free", "halves", "balanced"]
"""What is known of the labels in advance: nothing; that half of each group is class 1; that half of all rows are."""


@schema
class Labelling(Kind):
    """Part of all kinds that make labels out of labels."""

    makes_labels: ClassVar[bool] = True

    def cost(self, hints: Hints) -> Cost:
        return Cost()

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return ON_CPU


@schema
class Combine(Labelling):
    """The predictions of several stages as one."""

    kind: ClassVar[str] = "combine"
    members: ClassVar[bool] = True

    rule: Rule


@schema
class Pick(Labelling):
    """The predictions of the best of several stages, by the truth of validation rows."""

    kind: ClassVar[str] = "pick"
    members: ClassVar[bool] = True

    metric: str
    """Name of the metric that they are compared by."""


@schema
class Weigh(Labelling):
    """How much each example of a split counts for the next member of a boosted ensemble."""

    kind: ClassVar[str] = "weigh"
    members: ClassVar[bool] = True

    on: Split


@schema
class Filter(Labelling):
    """Only the labels of a split that their supervisor is surest of."""

    kind: ClassVar[str] = "filter"
    needs: ClassVar[tuple[InputName, ...]] = ("labels",)

    on: Split
    share: float
    balanced: bool
    """Whether each predicted class keeps the same share."""


@schema
class Agree(Labelling):
    """Of the answers of a split those that enough samples of their supervisor give, and further models as well."""

    kind: ClassVar[str] = "agree"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "labels")
    takes: ClassVar[tuple[InputName, ...]] = ("own",)

    on: Split
    least: float
    """Least share of a row's samples that give its answer."""
    ended: bool = False
    """Whether a text that was cut before it ended is dropped, whatever number stands in it."""


@schema
class Reveal(Labelling, Divided):
    """The truth for a budget of the rows of a split."""

    kind: ClassVar[str] = "reveal"
    needs: ClassVar[tuple[InputName, ...]] = ()
    takes: ClassVar[tuple[InputName, ...]] = ("data", "labels")

    on: Split
    share: float
    choose: Choose
    seed: int
    opposite: bool = False
    """Reveal labels that contradict the truth, instead of the truth."""
    split: Partition | None = None
    """How the rows of `data` are split, where no input `labels` has them."""


@schema
class Relabel(Labelling):
    """The labels of a split smoothed over neighbours in the features of a model."""

    kind: ClassVar[str] = "relabel"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features", "labels")

    on: Split
    k: int
    weight: float


@schema
class Select(Labelling):
    """The labels of the rows of a split that are easy, hard or both."""

    kind: ClassVar[str] = "select"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features", "labels")

    on: Split
    part: Part


@schema
class Calibrate(Labelling, Divided):
    """The raw answers of a prompted model as predictions."""

    kind: ClassVar[str] = "calibrate"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "answers")

    calibrate: Calibration
    harden: bool
    split: Partition


@schema
class Elicit(Labelling):
    """Labels that fit each other best in the features of a model, from its zero-shot answers on."""

    kind: ClassVar[str] = "elicit"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features", "labels")

    on: Split
    prior: float
    penalty: float
    alpha: float
    sweeps: int
    groups: Groups
    harden: bool
    seed: int


@schema
class Correct(Labelling):
    """For each row of a split and of validation: are the labels right?"""

    kind: ClassVar[str] = "correct"
    needs: ClassVar[tuple[InputName, ...]] = ("labels",)

    on: Split


@schema
class Route(Labelling):
    """Labels of two stages, chosen row by row by how sure a third one is of the first."""

    kind: ClassVar[str] = "route"
    needs: ClassVar[tuple[InputName, ...]] = ("own", "weak", "knows")

    on: Split
    threshold: float


@schema
class HeldOut(Labelling):
    """Each row as those of several models predict it that were not trained on it."""

    kind: ClassVar[str] = "held_out"
    members: ClassVar[bool] = True


@schema
class Refine(Labelling):
    """Labels of a split, replaced by proposals of another class where a judge prefers these."""

    kind: ClassVar[str] = "refine"
    needs: ClassVar[tuple[InputName, ...]] = ("own", "weak", "knows")

    on: Split
    max_replace: float
    """Largest share of the rows whose proposal differs that is replaced."""


@schema
class ColumnNames(LabelColumns, Hashed):
    """What the columns of a labels file are called, as far as it was said."""


@schema
class LabelsFile(Labelling, Divided):
    """The labels of a file that somebody made elsewhere, as predictions."""

    kind: ClassVar[str] = "labels_file"

    file: Identity
    """What names its content."""
    split: Partition
    columns: ColumnNames = ColumnNames()
    classes: tuple[str, ...] | None = None
    missing: Policy = "refuse"
    repeated: Repeated = "refuse"
    test: Literal["whole", "labelled"] = "whole"

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        assert hints.labels is not None, "the builder names the file"
        return (Opened("dataset", hints.label, hints.labels, self.file),)


@schema
class Harden(Labelling):
    """The most likely class of each example, for certain; classes that tie share it."""

    kind: ClassVar[str] = "harden"
    needs: ClassVar[tuple[InputName, ...]] = ("labels",)


@schema
class Temper(Labelling):
    """The predictions of a stage at another temperature."""

    kind: ClassVar[str] = "temper"
    needs: ClassVar[tuple[InputName, ...]] = ("labels",)

    temperature: float | None
    """None fits it to the truth of validation rows."""


@schema
class MeanDifference(Labelling, Divided):
    """Classes told by the difference of their means in a model's frozen features, as predictions."""

    kind: ClassVar[str] = "mean_difference"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features", "labels")

    split: Partition
    on: Split
    whiten: bool
    penalty: float


@schema
class Ccs(Labelling, Divided):
    """What a probe says that is consistent over contrast pairs, as predictions."""

    kind: ClassVar[str] = "ccs"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features", "labels")

    split: Partition
    on: Split
    tries: int
    epochs: int
    lr: float
    weight_decay: float
    seed: int
