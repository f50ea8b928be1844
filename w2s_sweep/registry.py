"""Tables of things by name, which the repository and a user's own modules fill when they are imported."""

from collections.abc import ItemsView, Iterator
from typing import Generic, TypeVar

from w2s_sweep.errors import ConfigError, W2SError, unknown

T = TypeVar("T")


class RegistrationError(W2SError):
    """A name that two modules claim."""


class Registry(Generic[T]):
    """Name -> item, in order of registration."""

    def __init__(self, what: str):
        self.what = what
        """What the items are, as errors call it: "metric"."""
        self._items: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        """Add an item and return it; RegistrationError where another module has the name already."""
        known = self._items.get(name)
        if known is not None and _module(known) != _module(item):
            raise RegistrationError(
                f"{self.what}: the name {name!r} is registered by both {_module(known)} and {_module(item)}. "
                "Give one of the two another name."
            )
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """The item of that name; ConfigError with the allowed names where there is none."""
        if name not in self._items:
            raise ConfigError([unknown(self.what, name, self._items)])
        return self._items[name]

    def get(self, name: str) -> T | None:
        return self._items.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def items(self) -> ItemsView[str, T]:
        return self._items.items()


def _module(item: object) -> str:
    """Where an item (a class, a function, or an instance of a class) is defined."""
    return str(getattr(item, "__module__", type(item).__module__))
