"""The table of a task's examples before any split: balanced or not, no group on both sides of training and test.

An example's id is a hash of its content, so it stays the same whatever else is sampled.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2s_sweep.data.components import components
from w2s_sweep.data.difficulty import Difficulty, Side, threshold_of
from w2s_sweep.data.hashing import Hashes
from w2s_sweep.data.pool import Pool, SourceSplit, ordinals, scan, share_to_read
from w2s_sweep.data.readers import read_rows
from w2s_sweep.data.sample import TOLERANCE, count_in_words, join_counts, sample
from w2s_sweep.data.split import UNLABELLED
from w2s_sweep.data.tasks import Example, Task, find
from w2s_sweep.data.tasks.base import QUESTION
from w2s_sweep.errors import DataError

LEAST_PER_CLASS = 4
"""Examples of each class that training needs at least: one for each half and for validation, and one to spare."""

COLUMNS = {"id": pa.string(), "text": pa.string(), "label": pa.int8(), "group": pa.string(), "origin": pa.string()}
EXTRA = {"classify": None, "pair": "text_other", "generate": "target"}

Positions = NDArray[np.int64]


class Sampling(Protocol):
    """The settings of a data stage, see `kinds.data.Data`."""

    @property
    def task(self) -> str: ...
    @property
    def source(self) -> Mapping[str, Any]: ...
    @property
    def train_split(self) -> str: ...
    @property
    def test_split(self) -> str | None: ...
    @property
    def n_train(self) -> int | None: ...
    @property
    def n_test(self) -> int | None: ...
    @property
    def sample_seed(self) -> int: ...
    @property
    def balance(self) -> str: ...
    @property
    def validation_split(self) -> str | None: ...
    @property
    def columns(self) -> tuple[tuple[str, str], ...] | None: ...
    @property
    def labels(self) -> tuple[str, ...] | None: ...
    @property
    def odd_rows(self) -> str: ...
    @property
    def unlabelled(self) -> str: ...
    @property
    def difficulty(self) -> str | None: ...
    @property
    def difficulty_quantile(self) -> float: ...
    @property
    def difficulty_threshold(self) -> float | None: ...


def build_examples(settings: Sampling, path: Path, left_out: Counter[str] | None = None) -> pa.Table:
    """The examples of a data stage, in the order of the source.

    `path`: the fetched source. `left_out`: counts rows and examples that are not in it, by reason.
    Columns: id, text (string); label (int8, 0 to k-1, and every split has each; -1 where there is none); group
    (string); question (string) where rows answer several questions about one group; origin ("train", "test", or
    "half_a" and "half_b" where the source fixes the halves, "unlabelled" of rows without a label that are kept);
    text_other for pairs; target for generation. Raises DataError.
    """
    task = find(settings.task)
    pools = [scan(split, origin) for split, origin in _splits(task, settings, path)]
    groups = components([pool.groups for pool in pools], [pool.links for pool in pools])
    parts: list[pa.Table] = []
    for number, pool in enumerate(pools):
        later = [names for other in pools[number + 1 :] for names in (other.groups, other.links)]
        free = _outside([groups[number], pool.groups, pool.links], groups[number + 1 :] + later)
        kept = free[_sample_pool(pool, groups[number], free, settings)]
        if left_out is not None:
            left_out.update(pool.left_out)
            left_out["in a group that is also in a later split"] += len(pool) - len(free)
            why = "to balance classes, or " if settings.balance == "classes" else ""
            left_out[f"{why}beyond n_train or n_test"] += len(free) - len(kept)
        _check(pool, free, kept)
        parts.append(_table(pool, groups[number], kept))
    return pa.concat_tables(parts, promote_options="default")


def _splits(task: Task, settings: Sampling, path: Path) -> list[tuple[SourceSplit, str]]:
    """(split, origin), training first: a group that is also in a later one is left out of the earlier one."""
    subset, seed = settings.source.get("subset"), settings.sample_seed
    threshold = easy_up_to(settings, path)
    test = settings.test_split or (None if threshold is None else settings.train_split)
    splits: list[tuple[SourceSplit, str]] = []
    for name, origin in _origins(task, settings.train_split, test, settings.validation_split):
        share = share_to_read(task, path, name, subset, _limit(origin, settings))
        columns, skip = dict(settings.columns or ()), settings.odd_rows == "skip"
        labels, classes = settings.labels, len(task.named_classes(settings.labels))
        part = None
        if settings.difficulty is not None and threshold is not None:
            side: Side = "hard" if origin == "test" else "easy"
            alone = settings.test_split is not None or origin == "validation"
            part = Difficulty(settings.difficulty, threshold, side, shared=not alone)
        made = SourceSplit(task, path, name, subset, share, seed, columns, labels, classes, skip, difficulty=part)
        splits.append((made, origin))
    return splits if settings.unlabelled == "leave_out" else _with_unlabelled(splits)


def easy_up_to(settings: Sampling, path: Path) -> float | None:
    """The value of `difficulty` up to which rows are easy; None where nothing is said of it. Raises DataError."""
    if settings.difficulty is None:
        return None
    if settings.difficulty_threshold is not None:
        return settings.difficulty_threshold
    rows = read_rows(path, settings.train_split, settings.source.get("subset"), (settings.difficulty,))
    skip = settings.odd_rows == "skip"
    return threshold_of(rows, settings.difficulty, settings.difficulty_quantile, skip_odd=skip)


def _with_unlabelled(splits: Sequence[tuple[SourceSplit, str]]) -> list[tuple[SourceSplit, str]]:
    """The training rows without a label as a pool of their own, before all others."""
    parted: list[tuple[SourceSplit, str]] = []
    for split, origin in splits:
        if origin in ("train", "half_b"):
            parted.insert(0, (replace(split, only="unlabelled", share=1.0), UNLABELLED))
            split = replace(split, only="labelled")
        parted.append((split, origin))
    return parted


def _origins(task: Task, train: str, test: str | None, validation: str | None = None) -> list[tuple[str, str]]:
    rows = [(train, "train")]
    if task.fixed_halves:
        halves = train.split("+")
        if len(halves) != 2 or test is None:
            raise DataError(
                f"task {task.name!r}: dataset.train_split is {train!r} and dataset.test_split {test!r}. Allowed: two "
                "splits joined by a plus sign, which are half A and half B, and a test split: "
                "train_split=train_label+train_unlabel test_split=test."
            )
        rows = [(halves[0], "half_a"), (halves[1], "half_b")]
    rows += [] if validation is None else [(validation, "validation")]
    return rows if test is None else [*rows, (test, "test")]


def _limit(origin: str, settings: Sampling) -> int | None:
    if origin == "validation":
        return None
    limit = settings.n_test if origin == "test" else settings.n_train
    return limit // 2 if limit is not None and origin.startswith("half") else limit


def _outside(groups: list[Hashes], later: list[Hashes]) -> Positions:
    """Positions of which no group is among those of the later pools."""
    taken = np.concatenate(later) if later else np.array([], dtype=np.uint64)
    return np.flatnonzero(~np.any([np.isin(names, taken) for names in groups], axis=0))


def _sample_pool(pool: Pool, groups: Hashes, free: Positions, settings: Sampling) -> Positions:
    """Positions in `free` of the examples kept: all of those without a label."""
    if pool.origin == UNLABELLED:
        return np.arange(len(free))
    with np.errstate(over="ignore"):
        unlike = pool.contents + ordinals(pool.contents) * np.uint64(0x9E3779B97F4A7C15)
    return sample(
        pool.labels[free],
        groups[free],
        unlike[free],
        limit=_limit(pool.origin, settings),
        most=_most(pool.origin, settings),
        seed=settings.sample_seed,
        classes=pool.split.classes,
    )


def _most(origin: str, settings: Sampling) -> float:
    """The largest share that one of two classes may have."""
    if settings.balance == "none":
        return 1.0
    return 0.5 if origin == "test" or settings.test_split is None else TOLERANCE


def _check(pool: Pool, free: Positions, kept: Positions) -> None:
    if pool.origin == UNLABELLED or (pool.split.only and not len(pool)):
        return
    counts = np.bincount(pool.labels[kept], minlength=pool.split.classes)
    least = 1 if pool.origin in ("validation", "test") else LEAST_PER_CLASS
    task = pool.split.task
    if (counts.sum() if task.kind == "generate" else 2 * counts.min()) >= 2 * least:
        return
    found = np.bincount(pool.labels, minlength=pool.split.classes)
    raise DataError(
        f"task {task.name!r}, split {pool.split.name!r}: {count_in_words(counts)} "
        f"are left after balancing; at least {least} of each are needed. The split has {join_counts(found)}, and "
        f"{len(pool) - len(free)} of them share a group with a later split. Raise dataset."
        f"{'n_test' if pool.origin == 'test' else 'n_train'}, or give a source with more rows of the missing class."
    )


def _table(pool: Pool, groups: Hashes, kept: Positions) -> pa.Table:
    examples = pool.chosen(kept)
    numbers = ordinals(pool.contents)[kept].tolist()
    columns: dict[str, list[Any]] = {
        "id": [_id(example, number) for example, number in zip(examples, numbers, strict=True)],
        "text": [example.text for example in examples],
        "label": [example.label for example in examples],
        "group": [f"{group:016x}" for group in groups[kept].tolist()],
        "origin": [pool.origin] * len(examples),
    }
    schema = COLUMNS
    if any(example.question is not None for example in examples):
        columns[QUESTION] = [example.question for example in examples]
        schema = schema | {QUESTION: pa.string()}
    extra = EXTRA[pool.split.task.kind]
    if extra is not None:
        columns[extra] = [getattr(example, extra) for example in examples]
        schema = schema | {extra: pa.string()}
    return pa.table(columns, schema=pa.schema(list(schema.items())))


def _id(example: Example, ordinal: int) -> str:
    parts = (example.text, example.text_other or "", example.target or "", str(example.label), example.group)
    return blake2b("\x1f".join((*parts, str(ordinal))).encode("utf-8", "replace"), digest_size=10).hexdigest()
