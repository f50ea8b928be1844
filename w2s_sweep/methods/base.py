"""What every method is: frozen parameters and a function from a cell to the shape of its graph."""

from collections.abc import Mapping
from typing import ClassVar, Self

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup


@schema
class Method:
    """Base of the methods."""

    takes_texts: ClassVar[bool] = False
    """Whether it also works where a label is a generated text: nothing in its graph reads probabilities."""

    def models(self) -> tuple[Model, ...]:
        """The models that the method names beyond the cell's weak and strong one."""
        return ()

    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets that the method names beyond that of the cell."""
        return ()

    def reading(self, copies: Mapping[Dataset, Dataset]) -> Self:
        """The method with its datasets read from these copies, where there is one."""
        return self

    def graph(self, cell: Setup, build: Builder) -> Roles:
        """Add the stages of `cell` to `build` and say which plays which role."""
        raise TypeError(f"{type(self).__name__} defines no graph")
