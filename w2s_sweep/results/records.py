"""What a results table holds: a row per cell, one per group of cells that differ in the seed only, one per setting."""

from dataclasses import dataclass, field
from operator import add
from typing import Literal

from w2s_sweep.metrics import Interval

NONE = Interval(None)
State = Literal["done", "failed", "missing"]
SEVERAL = "seeds and test examples"
ONE = "test examples of this trained model"
"""What intervals are over: with one seed nothing is known of other runs."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is compared: cells of one setting differ in the task and the seed only."""

    weak_model: str
    """Label of the supervisor's model. A label is a name, and what tells settings of one name apart."""
    strong_model: str
    """Label of the model of student and ceiling."""
    loss: str
    """Label of the student's loss."""
    method: str
    """Label of the method."""
    finetune: str
    """Label of how models are trained."""
    metric: str
    """Metric of `weak`, `student`, `ceiling` and `pgr`."""

    @property
    def pair(self) -> str:
        return f"{self.weak_model} → {self.strong_model}"

    @property
    def setting(self) -> "Setting":
        return Setting(**{name: getattr(self, name) for name in Setting.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Row(Setting):
    """One cell. Every number comes from the test predictions in the folders of the three stage keys."""

    cell: int
    """Position in the sweep, from 0."""
    group: str
    """The same for cells that differ in the seed only."""
    dataset: str
    """Label of the task."""
    seed: int
    """Seed of the deal of the rows, of initialisation and of the order of training."""
    weak_params: int
    """Parameters of the supervisor's model; 0 where a file of labels supervises."""
    strong_params: int
    """Parameters of the model of student and ceiling."""
    overrides: tuple[str, ...]
    """What the command line said of this cell."""
    weak_key: str
    """Key of the stage, and name of its folder in the store, whose predictions are scored as `weak`."""
    student_key: str
    """The same of `student`."""
    ceiling_key: str
    """The same of `ceiling`; empty where none is trained."""
    state: State = "done"
    """done; failed (a stage that it needs ended with an error); missing (not finished)."""
    note: str = ""
    """Which role failed or is missing, and why."""
    n_test: int | None = None
    """Test examples."""
    n_groups: int | None = None
    """Groups of test examples: rows of one passage, question or document are one observation."""
    classes: int | None = None
    """Classes of the task."""
    chance: float | None = None
    """The metric of guessing on the test examples."""
    majority: float | None = None
    """Share of the most frequent class among the test examples: the accuracy of always answering it."""
    weak: Interval = NONE
    """Metric of the supervisor; 95 % interval of this trained model over groups of test examples, as all of a cell."""
    student: Interval = NONE
    """Metric of the student, trained on weak labels."""
    ceiling: Interval = NONE
    """Metric of the strong model trained on the truth."""
    gain: Interval = NONE
    """student - weak."""
    gap: Interval = NONE
    """ceiling - weak."""
    excess: Interval = NONE
    """student - ceiling: above 0 where the student beats a model that was trained on the truth."""
    ratio: float | None = None
    """gain / gap of this seed alone, a point of figures; null where the ceiling is not better than the supervisor."""
    pgr: Interval = NONE
    """Performance gap recovered, gain / gap, of these trained models; null where it is not identified."""
    unidentified: str = ""
    """Why the PGR is not identified; empty where it is."""
    details: dict[str, Interval] = field(default_factory=dict[str, Interval])
    """Further metrics by name, such as `auroc/student` or `agreement`, with intervals over test examples too."""


@dataclass(frozen=True, kw_only=True)
class Group(Setting):
    """Cells that differ in the seed only."""

    group: str
    """The same as that of its cells."""
    dataset: str
    """Label of the task."""
    weak_params: int
    """Parameters of the supervisor's model; 0 where a file of labels supervises."""
    strong_params: int
    """Parameters of the model of student and ceiling."""
    seeds: tuple[int, ...]
    """Seeds of the finished cells."""
    cells: int
    """Cells of the group, finished or not."""
    n_test: int | None
    """Test examples of a cell."""
    n_groups: int | None
    """Groups of test examples, of all seeds together."""
    over: str
    """What intervals are over: seeds and test examples, or the test examples of this trained model (one seed)."""
    freedom: float | None
    """Degrees of freedom of the interval of `pgr` (Satterthwaite)."""
    chance: float
    """The metric of guessing, mean over seeds."""
    majority: float | None
    """Share of the most frequent class among the test examples, mean over seeds."""
    weak: Interval
    """Metric of the supervisor: mean over seeds; 95 % interval over seeds and groups of test examples."""
    student: Interval
    """The same of the student, trained on weak labels."""
    ceiling: Interval
    """The same of the strong model trained on the truth."""
    gain: Interval
    """student - weak."""
    gap: Interval
    """ceiling - weak."""
    excess: Interval
    """student - ceiling: above 0 where the student beats a model that was trained on the truth."""
    pgr: Interval
    """Performance gap recovered: mean gain / mean gap, Fieller's interval; null where it is not identified."""
    unidentified: str
    """Why the PGR is not identified; empty where it is."""
    ratios: tuple[float, ...]
    """gain / gap of each seed where its ceiling is better than its supervisor: points, of which `pgr` is no mean."""
    details: dict[str, Interval]
    """The further metrics of the cells: means over the seeds where they are defined, with intervals like `student`."""


@dataclass(frozen=True, kw_only=True)
class Median(Setting):
    """The same setting over all tasks, as the paper reports it: the median of the tasks' PGR."""

    tasks: int
    """Tasks with a PGR."""
    unidentified: int
    """Tasks whose PGR is not identified; they are in no median."""
    pgr: Interval
    """95 % interval over tasks, between two of their ordered values; none for fewer than 6 tasks."""
    reasons: dict[str, int]
    """Why tasks have no PGR -> how many of them."""


@dataclass(frozen=True)
class Reliability:
    """Test examples in bins of the probability of their most likely class; bins of equal width over [0, 1]."""

    examples: tuple[int, ...]
    confidence: tuple[float, ...]
    """Sum over the examples of a bin."""
    right: tuple[float, ...]
    """How many of them are answered rightly."""

    def __add__(self, other: "Reliability") -> "Reliability":
        """The examples of both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("examples", "confidence", "right"))
        return Reliability(*(tuple(map(add, *pair)) for pair in pairs))

    @property
    def error(self) -> float:
        """Expected calibration error of all these examples together."""
        gaps = (abs(right - sure) for right, sure in zip(self.right, self.confidence, strict=True))
        return sum(gaps) / sum(self.examples)
