"""What a results table holds: a row per cell, one per group of cells that differ in the seed only, one per setting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from w2s_sweep.metrics import ROLES, Interval, Recovery, plain_ratio

__all__ = [
    "ONE",
    "ROLES",
    "SEVERAL",
    "Comparison",
    "CurvePoint",
    "Group",
    "Median",
    "PairedTest",
    "Reliability",
    "Results",
    "Row",
    "Setting",
    "State",
    "StudentStep",
]

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
    """The metric of guessing."""
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
class PairedTest:
    """Whether a difference could be chance."""

    name: str
    """`seeds and examples`, `these models` (one seed: over test examples alone) or `sign flips` (over tasks)."""
    units: int
    """Seeds, groups of test examples, or tasks."""
    p: float
    """Two-sided, as if this were the only comparison."""
    smallest: float = 0.0
    """The smallest p that so few tasks can give; 0 where it is no bound."""
    corrected: float = 1.0
    """After Holm's correction over all comparisons over tasks, or over all of single tasks."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two settings on the same task (or all tasks), models and seeds."""

    first: Row
    """A cell of the baseline."""
    second: Row
    """A cell of the setting that is compared with it."""
    tasks: int
    """Tasks that it is over."""
    pairs: int
    """Pairs of cells: seeds, or tasks x seeds."""
    better: int
    """Seeds (tasks, where there are several) in which the second is better."""
    difference: Interval
    """Student metric of the second minus the first; 95 % interval over `over`."""
    test: PairedTest | None
    """Whether the difference could be chance; None where nothing is known of its spread."""
    students: tuple[str, ...]
    """The metric and the student keys of all pairs: what is compared, whatever it is called. Under a method that does
    not train, all losses have the same students."""

    @property
    def over(self) -> str:
        """What the interval is over."""
        return "tasks" if self.tasks > 1 else SEVERAL if self.pairs > 1 else ONE

    @property
    def dataset(self) -> str:
        """Label of the task, or `all 3 tasks`."""
        return f"all {self.tasks} tasks" if self.tasks > 1 else self.second.dataset

    @property
    def pair(self) -> str:
        return self.second.pair

    @property
    def loss(self) -> str:
        return self.second.loss

    @property
    def method(self) -> str:
        return self.second.method

    @property
    def finetune(self) -> str:
        return self.second.finetune


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Setting):
    """What a stage of a group was worth after one of its evaluations, over the seeds that have a curve."""

    group: str
    """That of the group, and of its cells."""
    dataset: str
    """Label of the task."""
    role: str
    """Whose training this is: weak, student or ceiling. Groups that share a stage repeat its curve."""
    weak_params: int
    """Parameters of the supervisor's model."""
    strong_params: int
    """Parameters of the model of student and ceiling."""
    seeds: tuple[int, ...]
    """Seeds whose stages have a curve."""
    evaluation: int
    """Number of the evaluation, from 1; evenly spaced, the last one follows the last step."""
    step: int
    """Optimizer steps done."""
    steps: int
    """Optimizer steps of the whole training."""
    n_test: int
    """Test rows that were predicted: all of them by a probe, a fixed sample of them by a fine-tuning."""
    value: Interval
    """`metric` of the role after this step, on these rows; 95 % interval over seeds and groups of test examples."""
    weak: Interval
    """Of students: `metric` of the supervisor when its training had ended, on the same rows."""
    ceiling: Interval
    """Of students: the same of the ceiling."""
    pgr: Interval
    """Of students: mean gain / mean gap on these rows; null where it is not identified."""
    unidentified: str
    """Why the PGR is not identified; empty where it is, and for other roles."""
    accuracy: Interval
    """Accuracy after this step."""
    auroc: Interval
    """AUROC after this step."""
    agreement: Interval
    """Of students: share of the rows on which it predicts the class that the supervisor predicts."""
    agreement_supervisor_right: Interval
    """The same, among the rows on which the supervisor is right."""
    agreement_supervisor_wrong: Interval
    """The same, among the supervisor's errors: it rises where a student overfits to weak labels."""


@dataclass(frozen=True, kw_only=True)
class StudentStep:
    """What one trained student was worth after one of its evaluations: points without intervals."""

    step: int
    """Optimizer steps done."""
    weak: float | None
    """The cell's metric of its supervisor when its training had ended, on the rows that the student was shown."""
    student: float | None
    """The same of the student after this step."""
    ceiling: float | None
    """The same of the ceiling when its training had ended."""
    agreement: float | None
    """Share of the rows on which it predicts the class that the supervisor predicts."""
    agreement_supervisor_right: float | None
    """The same, among the rows on which the supervisor is right."""
    agreement_supervisor_wrong: float | None
    """The same, among the supervisor's errors."""

    @property
    def ratio(self) -> float | None:
        """gain / gap; None where the ceiling is not better than the supervisor."""
        return plain_ratio(self.weak, self.student, self.ceiling)


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
        return Reliability(*(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in pairs))

    @property
    def error(self) -> float:
        """Expected calibration error of all these examples together."""
        gaps = (abs(right - sure) for right, sure in zip(self.right, self.confidence, strict=True))
        return sum(gaps) / sum(self.examples)


@dataclass(frozen=True)
class Results:
    """All of a sweep, or of several joined ones."""

    sweep: str
    """Its name, or all names."""
    record: dict[str, Any]
    """sweep.json, or several joined."""
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    medians: tuple[Median, ...]
    comparisons: tuple[Comparison, ...]
    failures: dict[str, str]
    """Stage key -> the error it ended with."""
    recoveries: Mapping[str, Recovery] = field(default_factory=dict[str, Recovery])
    """`Group.group` -> what its PGR is of."""
    curves: tuple[CurvePoint, ...] = ()
    """Over training: of every group with a curve, role by role, by rising step."""
    steps: Mapping[int, tuple[StudentStep, ...]] = field(default_factory=dict[int, tuple[StudentStep, ...]])
    """Cell -> the evaluations of its student, by rising step; of finished cells whose student has a curve."""
    reliability: Mapping[str, Mapping[str, Reliability]] = field(default_factory=dict[str, Mapping[str, Reliability]])
    """`Group.group` -> role -> how often its answers are right, of all seeds."""

    @property
    def over_tasks(self) -> list[Comparison]:
        """The comparisons over all tasks; none where there is one task."""
        return [c for c in self.comparisons if c.tasks > 1]

    @property
    def task_by_task(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.tasks == 1]

    def count(self, state: State) -> int:
        return sum(row.state == state for row in self.rows)

    @cached_property
    def _varying(self) -> frozenset[str]:
        names = ("dataset", "pair", "loss", "method", "finetune")
        return frozenset(name for name in names if len({getattr(row, name) for row in self.rows}) > 1)

    def variant(self, item: "Row | Group | Median | Comparison | CurvePoint") -> str:
        """Loss, and method and fine-tuning as far as the sweep varies them or their label discloses a setting."""
        return " · ".join(str(getattr(item, name)) for name in self._variant_names)

    @cached_property
    def _variant_names(self) -> list[str]:
        told = {name for name in ("method", "finetune") if any("(" in getattr(row, name) for row in self.rows)}
        return ["loss", *(name for name in ("method", "finetune") if name in self._varying | told)]

    def columns(self) -> list[str]:
        """Titles of the columns that tell rows apart."""
        titles = {"dataset": "dataset", "pair": "weak → strong"}
        return [title for name, title in titles.items() if name in self._varying] + [" · ".join(self._variant_names)]

    def texts(self, item: "Row | Group | Median | Comparison") -> list[str]:
        """What a row shows in `columns`."""
        names = [name for name in ("dataset", "pair") if name in self._varying]
        return [*(str(getattr(item, name)) for name in names), self.variant(item)]

    @cached_property
    def constants(self) -> str:
        """What all rows have in common and `columns` therefore leaves out."""
        names = [name for name in ("dataset", "pair") if name not in self._varying and self.rows]
        return " · ".join([*(str(getattr(self.rows[0], name)) for name in names), f"metric {self.rows[0].metric}"])
