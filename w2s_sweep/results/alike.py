"""Things that are alike are computed together: a call of NumPy costs as much as the numbers of one of them."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def compute_alike(
    items: Sequence[T], likeness: Callable[[T], Hashable], compute: Callable[[list[T]], Iterable[R]]
) -> list[R]:
    """What `compute` makes of each item, in their order; it is given all items of equal likeness at a time."""
    alike: dict[Hashable, list[int]] = {}
    for place, item in enumerate(items):
        alike.setdefault(likeness(item), []).append(place)
    found: dict[int, R] = {}
    for places in alike.values():
        found |= zip(places, compute([items[place] for place in places]), strict=True)
    return [found[place] for place in range(len(items))]
