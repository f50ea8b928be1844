"""What a method builds its graph from: a cell without its method."""

from typing import Annotated

from pydantic import Field

from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Finetune
from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.losses import AnyLoss


@schema
class Setup:
    """A task, two models and how they are trained."""

    dataset: Dataset
    weak: Model | None
    """None where a file of labels supervises, `supervisor.labels`."""
    strong: Model
    loss: AnyLoss
    finetune: Finetune
    ceiling: Ceiling = Ceiling()
    tests: tuple[Dataset, ...] = ()
    """Further datasets whose test rows the trained models of all roles are shown; their results are tables of their
    own."""
    supervisor: Supervisor = Supervisor()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    metric: str = "accuracy"
    """Metric whose PGR is the value of the cell: the name of one in `w2s_sweep.metrics.METRICS`."""

    @property
    def weak_model(self) -> Model:
        """The weak model, for what cannot be without one (`methods.base.Method.needs_weak_model`)."""
        if self.weak is None:
            raise ValueError("a file of labels supervises, there is no weak model")
        return self.weak
