"""What every method is: frozen parameters and a function from a cell to the shape of its graph."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_origin, get_type_hints

from w2s_sweep.config.choice import classes_of
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.setup import Setup
from w2s_sweep.registry import Registry

ROLES = ("weak", "student", "ceiling", "link", "labels", "weights", "p_ik")
"""Roles that the methods of this package give to stages."""


@schema
class Method:
    """Base of the methods.

    A subclass with a `name` is a choice of the config group `method`, wherever it is defined. It needs no version: a
    method is in no key, what it adds to the graph is.
    """

    takes_texts: ClassVar[bool] = False
    """Whether it also works where a label is a generated text: nothing in its graph reads probabilities."""

    needs_targets: ClassVar[bool] = False
    """Whether it works where a label is a generated text alone."""

    needs_weak_model: ClassVar[bool] = False
    """Whether it trains the weak model in a way of its own, so that no file of labels can stand in its place."""

    two_classes: ClassVar[str] = ""
    """Why it exists for tasks of two classes alone; empty where it takes any number."""

    reads_weights: ClassVar[bool] = False
    """Whether its graph shows further rows to trained models, whose weights must have been kept."""

    roles: ClassVar[tuple[str, ...]] = ()
    """Roles that its graph gives to stages beyond `ROLES`, so that a cluster's resources can be set for them."""

    name: str
    """Which method; a subclass narrows it to one word."""

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if isinstance(name := vars(cls).get("name"), str):
            METHODS.register(name, cls)

    def models(self) -> tuple[Model, ...]:
        """The models that the method names beyond the cell's weak and strong one."""
        return tuple(one for one in self._collect_named() if isinstance(one, Model))

    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets that the method names beyond that of the cell."""
        return tuple(one for one in self._collect_named() if isinstance(one, Dataset))

    def reading(self, copies: Mapping[Dataset, Dataset]) -> Self:
        """The method with its datasets read from these copies, where there is one."""
        changed: dict[str, Any] = {}
        for name, field in named_fields(type(self)).items():
            value = getattr(self, name)
            changed[name] = tuple(copies.get(one, one) for one in value) if field.many else copies.get(value, value)
        return replace(self, **changed)

    def _collect_named(self) -> list[Any]:
        values = [(getattr(self, name), field.many) for name, field in named_fields(type(self)).items()]
        return [one for value, many in values for one in (value if many else (value,))]

    def graph(self, cell: Setup, build: Builder) -> Roles:
        """Add the stages of `cell` to `build` and say which plays which role."""
        raise TypeError(f"{type(self).__name__} defines no graph")


@dataclass(frozen=True)
class NamedField:
    """A field whose value is named by files of a config group."""

    group: Literal["model", "dataset"]
    many: bool
    """Whether it is a list of such."""


@cache
def named_fields(cls: type) -> Mapping[str, NamedField]:
    """The fields of a method that hold models or datasets, by their types: `Model`, `Dataset | None`, and tuples."""
    found: dict[str, NamedField] = {}
    for name, annotation in get_type_hints(cls).items():
        classes = classes_of(annotation)
        if Model in classes or Dataset in classes:
            found[name] = NamedField("model" if Model in classes else "dataset", get_origin(annotation) is tuple)
    return found


METHODS: Registry[type[Method]] = Registry("method")
"""The methods by name."""
