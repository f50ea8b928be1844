"""Two settings beside each other: their difference on a task or over tasks, and whether it could be chance."""

from dataclasses import dataclass

from w2s_sweep.metrics import Interval
from w2s_sweep.results.records import ONE, SEVERAL, Row


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
