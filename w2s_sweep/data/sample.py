"""Which examples of a pool are kept: balanced or not, at most so many, whole groups; a pure function of hashes.

Nothing depends on the order of the rows, and a larger limit keeps what a smaller one kept unless balance forbids it.
"""

import numpy as np
from numpy.typing import NDArray

from w2s_sweep.data.hashing import Hashes, ranks

Labels = NDArray[np.int8]
Positions = NDArray[np.int64]

TOLERANCE = 0.55
"""Largest share of one of two classes that training examples are left with (Burns et al. 2023, appendix A)."""


def sample(
    labels: Labels,
    groups: Hashes,
    contents: Hashes,
    *,
    limit: int | None,
    most: float,
    seed: int,
    classes: int = 2,
) -> Positions:
    """Sorted positions of the examples kept.

    `groups`, `contents`: hashes of each example's group and of the example. `most`: largest share of one of two classes
    in [.5, 1], of one of k as many times 1/k as it is of 1/2; .5 is every class equally often, 1 leaves them as they
    are. A class that is too large loses single examples; `limit` drops whole groups.
    """
    order = ranks(contents, seed, "undersample")
    kept = undersample(labels, order, most=most, classes=classes)
    if limit is not None and len(kept) > limit:
        chosen, by_group = labels[kept], ranks(groups[kept], seed, "groups")
        kept = kept[within(groups[kept], chosen, by_group, _room(chosen, limit, classes, balanced=most < 1))]
    return kept[undersample(labels[kept], order[kept], most=most, classes=classes)]


def _room(labels: Labels, limit: int, classes: int, *, balanced: bool) -> NDArray[np.int64]:
    """How many examples of each class fit into `limit`."""
    counts = np.bincount(labels, minlength=classes)
    if counts.min() == 0:
        return np.full(classes, limit)
    if balanced:
        return np.full(classes, limit // classes)
    # From each class up, so that rounding is never off by more than one example of a class.
    above = [round(limit * int(counts[c:].sum()) / int(counts.sum())) for c in range(classes)]
    return -np.diff([*above, 0])


def undersample(labels: Labels, order: Hashes, *, most: float, classes: int = 2) -> Positions:
    """Sorted positions left when every class is cut to the smallest one, dropping its last examples in `order`.

    All stay where no class is larger than `most` allows (see `sample`), or where one has no example.
    """
    counts = np.bincount(labels, minlength=classes)
    small = int(counts.min())
    if small == 0 or most >= 1 or counts.max() <= most * 2 / classes * counts.sum():
        return np.arange(len(labels))
    members = [np.flatnonzero(labels == c) for c in range(classes)]
    return np.sort(np.concatenate([one[np.argsort(order[one], kind="stable")[:small]] for one in members]))


def within(groups: Hashes, labels: Labels, order: Hashes, share: NDArray[np.int64]) -> Positions:
    """Sorted positions of the groups that fit when they are taken in `order`, no class above its `share`."""
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.stack([np.bincount(member[labels == c], minlength=len(first)) for c in range(len(share))], axis=1)
    left, taken = share.tolist(), np.zeros(len(first), dtype=bool)
    walk = np.argsort(order[first], kind="stable")
    for group, each in zip(walk.tolist(), counts[walk].tolist(), strict=True):
        after = [room - count for room, count in zip(left, each, strict=True)]
        if min(after) >= 0:
            left = after
            taken[group] = True
            if not any(left):
                break
    return np.flatnonzero(taken[member])


def count_classes(labels: NDArray[np.integer]) -> int:
    """How many classes examples are of: up to the last one that occurs, and two at least."""
    return max(2, int(labels.max()) + 1) if len(labels) else 2


def count_in_words(counts: NDArray[np.int64]) -> str:
    """`4 examples of class 0, 2 of class 1 and 7 of class 2`."""
    first, *others = (f"{count}{' examples' if c == 0 else ''} of class {c}" for c, count in enumerate(counts.tolist()))
    return " and ".join([", ".join([first, *others[:-1]]), *others[-1:]])


def join_counts(counts: NDArray[np.int64]) -> str:
    """`4, 2 and 7`."""
    *first, last = map(str, counts.tolist())
    return f"{', '.join(first)} and {last}"
