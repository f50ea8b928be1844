"""The kind that makes examples out of the rows of a source."""

from typing import ClassVar, Literal

from w2s_sweep.config.dataset import Renamed
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Hints, Identity, InputName, Kind, Opened
from w2s_sweep.kinds.cost import Cost
from w2s_sweep.kinds.memory import ON_CPU, Memory
from w2s_sweep.kinds.shape import Shape


@schema
class Data(Kind):
    """The examples of a task before any split; see `config.dataset.Dataset` for the fields."""

    kind: ClassVar[str] = "data"
    needs: ClassVar[tuple[InputName, ...]] = ()

    task: str
    task_version: int | None = None
    """Version of the conversion of rows to examples, see `data.tasks.base.Task`; None where it has none."""
    source: Identity
    train_split: str
    test_split: str | None
    n_train: int | None
    n_test: int | None
    sample_seed: int
    balance: Literal["classes", "none"] = "classes"
    validation_split: str | None = None
    columns: Renamed = None
    labels: tuple[str, ...] | None = None
    odd_rows: Literal["refuse", "skip"] = "refuse"
    unlabelled: Literal["leave_out", "half_b"] = "leave_out"
    difficulty: str | None = None
    difficulty_quantile: float = 0.5
    difficulty_threshold: float | None = None

    def cost(self, hints: Hints) -> Cost:
        return Cost()

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return ON_CPU

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        return (Opened("dataset", hints.dataset.name, hints.dataset.source, self.source),)
