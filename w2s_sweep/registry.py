"""Registries: what the configuration chooses by name. Whatever is registered, here or outside, is a choice.

A name belongs to one class. A module that is imported again replaces what it registered before; another module that
takes the same name is refused, so that no result depends on the order of imports.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Collection, ItemsView, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from w2s_sweep.errors import ConfigError, RegistrationError, unknown

T = TypeVar("T")
PACKAGE = __name__.partition(".")[0]
ABSENT: list[str] = []
"""Why modules that would register more could not be imported, where that was let pass: told beside an unknown name."""


@dataclass(frozen=True)
class Place:
    """Where something is defined."""

    module: str
    name: str = ""
    """Qualified name of a class or a function; empty for another object."""

    @property
    def outside(self) -> bool:
        """Whether that is not this package."""
        return self.module.partition(".")[0] != PACKAGE

    def __str__(self) -> str:
        return f"{self.name} of {self.module}" if self.name else self.module


def place_of(item: object) -> Place | None:
    """Where a class or a function is defined; None for another object, which does not say."""
    name = getattr(item, "__qualname__", None)
    return None if name is None else Place(str(getattr(item, "__module__", "")), str(name))


def _caller() -> str:
    """Name of the module that called the function which calls this one."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return "" if frame is None else str(frame.f_globals["__name__"])


class Registry(Generic[T]):
    """Name -> what is registered under it, in the order of registration."""

    def __init__(self, what: str):
        """`what`: the singular word for an item in messages, as in "loss"."""
        self.what = what
        self._items: dict[str, T] = {}
        self._places: dict[str, Place] = {}
        self._values: tuple[T, ...] = ()

    def register(self, name: str, item: T, place: Place | None = None) -> T:
        """Add `item`, and return it. `place`: where it is defined, if not told by itself or the calling module.

        Raises RegistrationError, naming both places, where another class or another module has the name.
        """
        here = place or place_of(item) or Place(_caller())
        there = self._places.get(name, here)
        if here != there:
            raise RegistrationError(
                f"{self.what} {name!r}: {here} and {there} both have this name. Rename one of them."
            )
        self._items[name], self._places[name] = item, here
        self._values = tuple(self._items.values())
        return item

    def place(self, name: str) -> Place:
        """Where what is registered under `name` is defined."""
        return self._places[name]

    def get(self, name: str) -> T | None:
        return self._items.get(name)

    def values(self) -> tuple[T, ...]:
        return self._values

    def items(self) -> ItemsView[str, T]:
        return self._items.items()

    def __getitem__(self, name: str) -> T:
        if name not in self._items:
            raise ConfigError([unknown(self.what, name, self._items), *ABSENT])
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def require_version(what: str, name: str, version: object, place: Place) -> None:
    """RegistrationError for what is defined outside this package and has no version that could enter a key."""
    if place.outside and not (type(version) is int and version >= 1):
        raise RegistrationError(
            f"{what} {name!r}: {place} has no version, and results of code outside this package are only found again "
            "by it. Begin with 1, and count up whenever it computes something else for the same settings."
        )


def import_modules(package: str, path: Iterable[str], but: Collection[str] = ()) -> None:
    """Import every module directly inside a package, so that what they hold is registered."""
    for module in pkgutil.iter_modules(path):
        if module.name not in but:
            importlib.import_module(f"{package}.{module.name}")
