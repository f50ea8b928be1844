"""How a seed splits examples into half A, half B, validation and test: groups are never torn apart.

The split is a pure function of the seed, the groups' names and their labels: the order of the rows does not matter.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2s_sweep.config.dataset import SPLITS, Partition
from w2s_sweep.data.hashing import ranks, stable_hash
from w2s_sweep.data.sample import count_classes, count_in_words
from w2s_sweep.errors import DataError

Parts = NDArray[np.str_]
UNLABELLED = "unlabelled"
"""Origin of rows without a label, all of which are in half B."""


def assign(examples: pa.Table, split: Partition) -> Parts:
    """The part of each row: half_a, half_b, validation or test.

    `split`: seed; validation, the share of the training rows held out (the halves share the rest equally); test, the
    share of all rows held out by group, each where the source has no such rows of its own. Halves that the source fixes
    stay as they are but for their share of validation. Rows without a label are in half B, whatever the seed, and the
    others are divided as if these were not there. Raises DataError if a part would lack a class.
    """
    labelled = np.array(examples["origin"].to_pylist()) != UNLABELLED
    parts = np.full(examples.num_rows, "half_b", dtype="<U10")
    rest = examples if labelled.all() else examples.filter(pa.array(labelled))
    parts[labelled] = _assign(rest, split, SPLITS if labelled.all() else _find_filled(rest))
    return parts


def _find_filled(examples: pa.Table) -> Sequence[str]:
    """Parts that rows with a label fill, where there are others: without training rows test alone, and without those
    of a half that the source fixes all but that half."""
    origins = {*examples["origin"].to_pylist()}
    if "half_a" in origins:
        return [part for part in SPLITS if part != "half_b" or part in origins]
    return SPLITS if "train" in origins else ("test",)


def _assign(examples: pa.Table, split: Partition, filled: Sequence[str]) -> Parts:
    """`assign` of rows that have labels; both classes are in each of the parts `filled`."""
    origin = np.array(examples["origin"].to_pylist())
    labels = examples["label"].to_numpy().astype(np.int64)
    groups = np.array(examples["group"].to_pylist())
    own_test, own_validation = (bool((origin == part).any()) for part in ("test", "validation"))
    validation = 0.0 if own_validation else split.validation
    parts = np.where(origin == "validation", "validation", "test").astype("<U10")
    for name in sorted({*origin.tolist()} - {"test", "validation"}):
        shares = _shares(name, validation, 0.0 if own_test else split.test)
        rows = np.flatnonzero(origin == name)
        parts[rows] = _deal(groups[rows], labels[rows], shares, split.seed)
    _check(parts, labels, split, own_test, filled, generation="target" in examples.column_names)
    return parts


def _shares(origin: str, validation: float, test: float) -> dict[str, float]:
    """Share of the rows of one origin that each part gets."""
    training = (1 - test) * (1 - validation)
    halves = {"half_a": training / 2, "half_b": training / 2} if origin == "train" else {origin: training}
    held_out = {"validation": (1 - test) * validation, "test": test}
    return halves | {part: share for part, share in held_out.items() if share > 0}


def _deal(groups: NDArray[np.str_], labels: NDArray[np.int64], shares: Mapping[str, float], seed: int) -> Parts:
    """The part of each row. Groups go one by one, large ones first, to the part that is shortest of their labels.

    Every part keeps the label balance of the whole within about one group, and gets its share of groups of every size.
    """
    names, member = np.unique(groups, return_inverse=True)
    classes = range(count_classes(labels))
    counts = np.stack([np.bincount(member[labels == c], minlength=len(names)) for c in classes], axis=1)
    hashes = np.array([stable_hash(name) for name in names.tolist()], dtype=np.uint64)
    order = np.lexsort((ranks(hashes, seed, "split"), -counts.sum(axis=1)))
    wanted = np.outer(list(shares.values()), counts.sum(axis=0)).tolist()
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[order] = _shortest(counts[order].tolist(), wanted)
    return np.array(list(shares))[dealt[member]]


def _shortest(counts: list[list[int]], wanted: list[list[float]]) -> list[int]:
    """The part of each group: where it least raises the sum over parts and classes of (rows so far)^2 / rows wanted."""
    weights = [[1 / max(rows, 1e-9) for rows in part] for part in wanted]
    filled = [[0.0 for _ in part] for part in wanted]
    chosen: list[int] = []
    for group in counts:
        there = [(c, count) for c, count in enumerate(group) if count]
        costs = [_cost(there, have, weight) for have, weight in zip(filled, weights, strict=True)]
        part = costs.index(min(costs))
        for c, count in there:
            filled[part][c] += count
        chosen.append(part)
    return chosen


def _cost(there: list[tuple[int, int]], have: list[float], weight: list[float]) -> float:
    cost = 0.0
    for c, count in there:  # not by `sum`, which rounds in another way from Python 3.12 on: splits would differ
        cost += count * (2 * have[c] + count) * weight[c]
    return cost


def _check(
    parts: Parts,
    labels: NDArray[np.int64],
    split: Partition,
    own_test: bool,
    filled: Sequence[str],
    *,
    generation: bool,
) -> None:
    advice = {
        "half_a": "Raise dataset.n_train or lower dataset.validation",
        "half_b": "Raise dataset.n_train or lower dataset.validation",
        "validation": f"Raise dataset.validation (now {split.validation}) or dataset.n_train",
        "test": "Raise dataset.n_test" if own_test else f"Raise dataset.test (now {split.test}) or dataset.n_train",
    }
    classes = count_classes(labels)
    for part in filled:
        counts = np.bincount(labels[parts == part], minlength=classes)
        if counts.sum() == 0 or (counts.min() == 0 and not generation):
            needed = "both" if classes == 2 else "all"
            raise DataError(
                f"split: {part} has {count_in_words(counts)} with seed {split.seed}; {needed} are needed. "
                f"{advice[part]}, or use a source with more and smaller groups."
            )
