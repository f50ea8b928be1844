"""A file of vectors that any encoder made: an id or a text, and what it computed of that example.

Nothing is guessed: vectors of different widths, numbers that are not finite and names that come twice are refused.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError, safe_open

from w2s_sweep.arrays import Array
from w2s_sweep.data.labels_file import read_list, text_of, value_of
from w2s_sweep.data.readers import FORMATS, read_rows
from w2s_sweep.errors import DataError

NAMES = ("id", "text")
"""What vectors are found by; the first one that is there."""
VECTOR = "vector"


@dataclass(frozen=True)
class Vectors:
    """What a file says of the examples that it names, each once."""

    by: str
    """`id` or `text`."""
    names: Sequence[str]
    vectors: Array
    """float32 [names, width], finite."""

    def of(self, wanted: Sequence[str]) -> Array:
        """float32 [wanted, width]: those of the examples with these names. DataError where one has none."""
        place = {name: row for row, name in enumerate(self.names)}
        absent = [name for name in wanted if name not in place]
        if absent:
            raise DataError(
                f"features: {len(absent):,} of {len(wanted):,} examples have no vector in the file, such as the one "
                f"whose {self.by} is {absent[0][:60]!r}; the file has {self.names[0][:60]!r} and so on. `w2s data TASK "
                "--out FILE` writes ids and texts. Add the vectors, or take fewer rows with dataset.n_train and n_test."
            )
        return self.vectors[[place[name] for name in wanted]]


def read_vectors(path: Path) -> Vectors:
    """Read a file of vectors: arrays `vector` [n, width] and `id` or `text` [n] of an .npz; a tensor `vector` and the
    metadata `id` or `text`, a JSON list, of a .safetensors; columns of these names of a table. Raises DataError."""
    suffix = path.suffix.lower()
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(suffix, _read_table)
    try:
        by, names, vectors = read(path)
    except (OSError, EOFError, BadZipFile, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise DataError(f"features: cannot read {path}: {error}. Allowed: .npz, .safetensors, {FORMATS}.") from error
    _check(path, names, vectors)
    return Vectors(by, names, vectors)


Read = tuple[str, Sequence[str], Array]


def _find_name(path: Path, there: Sequence[str]) -> str:
    by = next((name for name in NAMES if name in there), None)
    if by is None or (VECTOR not in there and path.suffix.lower() != ".safetensors"):
        found = ", ".join(sorted(there)) or "nothing"
        raise DataError(f"features: {path} has {found}; needed are {VECTOR}, and {' or '.join(NAMES)}.")
    return by


def _read_npz(path: Path) -> Read:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        by = _find_name(path, list(file.files))
        return by, [str(name) for name in file[by].tolist()], _matrix(file[VECTOR])


def _read_safetensors(path: Path) -> Read:
    with safe_open(path, framework="np") as file:
        said: dict[str, str] = file.metadata() or {}
        by = _find_name(path, list(said))
        return by, [str(name) for name in json.loads(said[by])], _matrix(file.get_tensor(VECTOR))


def _read_table(path: Path) -> Read:
    rows = list(read_rows(path, "train"))
    by = _find_name(path, list(rows[0]) if rows else [])
    names = [text_of(row, by, number, path, "features") for number, row in enumerate(rows)]
    return by, names, _matrix([read_list(value_of(row, VECTOR, number, path)) for number, row in enumerate(rows)])


def _matrix(values: Any) -> Array:
    found = np.asarray(values, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] == 0:
        raise ValueError(f"vectors have the shape {list(found.shape)}, and [examples, width] is needed")
    return found


def _check(path: Path, names: Sequence[str], vectors: Array) -> None:
    if len(names) != len(vectors):
        raise DataError(f"features: {path} has {len(names):,} names and {len(vectors):,} vectors.")
    if not names:
        raise DataError(f"features: {path} has no vectors.")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(f"features: {path} has {times} vectors of {name[:60]!r}. Leave one.")
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise DataError(
            f"features: {path}: {len(bad):,} vectors are not finite, such as that of {names[bad[0]][:60]!r}."
        )
