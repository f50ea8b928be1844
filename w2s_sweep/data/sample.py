"""Which examples of a pool are kept: balanced or not, at most so many, whole groups; a pure function of hashes.

Nothing depends on the order of the rows, and a larger limit keeps what a smaller one kept unless balance forbids it.
"""

import numpy as np
from numpy.typing import NDArray

from w2s_sweep.data.hashing import Hashes, ranks

Labels = NDArray[np.int8]
Positions = NDArray[np.int64]

TOLERANCE = 0.55
"""Largest share of a class that training examples are left with (Burns et al. 2023, appendix A)."""


def sample(labels: Labels, groups: Hashes, contents: Hashes, *, limit: int | None, most: float, seed: int) -> Positions:
    """Sorted positions of the examples kept.

    `groups`, `contents`: hashes of each example's group and of the example. `most`: largest share of a class in
    [.5, 1]; .5 is both classes equally often, 1 leaves them as they are. A class that is too large loses single
    examples; `limit` drops whole groups.
    """
    order = ranks(contents, seed, "undersample")
    kept = undersample(labels, order, most=most)
    if limit is not None and len(kept) > limit:
        chosen, by_group = labels[kept], ranks(groups[kept], seed, "groups")
        kept = kept[within(groups[kept], chosen, by_group, _room(chosen, limit, balanced=most < 1))]
    return kept[undersample(labels[kept], order[kept], most=most)]


def _room(labels: Labels, limit: int, *, balanced: bool) -> NDArray[np.int64]:
    """How many examples of each class fit into `limit`."""
    counts = np.bincount(labels, minlength=2)
    if counts.min() == 0:
        return np.full(2, limit)
    ones = limit // 2 if balanced else round(limit * counts[1] / counts.sum())
    return np.array([limit // 2 if balanced else limit - ones, ones])


def undersample(labels: Labels, order: Hashes, *, most: float) -> Positions:
    """Sorted positions left when the larger class drops its last examples in `order`; one class alone stays."""
    counts = np.bincount(labels, minlength=2)
    small = int(counts.min())
    if small == 0 or counts.max() <= most * counts.sum():
        return np.arange(len(labels))
    large = np.flatnonzero(labels == counts.argmax())
    chosen = large[np.argsort(order[large], kind="stable")[:small]]
    return np.sort(np.concatenate([np.flatnonzero(labels == counts.argmin()), chosen]))


def within(groups: Hashes, labels: Labels, order: Hashes, share: NDArray[np.int64]) -> Positions:
    """Sorted positions of the groups that fit when they are taken in `order`, no class above its `share`."""
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.stack([np.bincount(member[labels == c], minlength=len(first)) for c in (0, 1)], axis=1)
    left, taken = share.tolist(), np.zeros(len(first), dtype=bool)
    walk = np.argsort(order[first], kind="stable")
    for group, (zeros, ones) in zip(walk.tolist(), counts[walk].tolist(), strict=True):
        if zeros <= left[0] and ones <= left[1]:
            left[0] -= zeros
            left[1] -= ones
            taken[group] = True
            if not any(left):
                break
    return np.flatnonzero(taken[member])
