"""Rows of a data file, read as they are: no row is changed, dropped or reordered."""

import csv
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.errors import DataError, nearest_first

Row = dict[str, Any]

_SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")
_NAME = re.compile(r"(?P<stem>.+?)\.(?P<format>jsonl|csv|tsv|parquet)(\.gz)?$")
_RATED = re.compile(r"(?P<stem>.+_GroundTruth)\.(?P<format>txt)$")
BATCH = 4096


def read_rows(
    path: Path, split: str, subset: str | None = None, columns: Sequence[str] = (), optional: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows of `split` of a fetched file or folder, in a fixed order.

    A folder holds `<split>.jsonl|csv|tsv|parquet` (jsonl and csv also as .gz), or the hub's layouts
    `[<subset>/|data/]<split>-00000-of-00001.parquet` and `<subset>/<split>/0000.parquet`; a single file is the split
    `train`. `a+b` reads split a, then b. Where the format allows, only `columns` and the `optional` ones that exist
    are read, if all of `columns` exist. Raises DataError.
    """
    for file in files_of(path, split, subset):
        yield from _read(file, columns, optional)


def count_rows(path: Path, split: str, subset: str | None = None) -> int | None:
    """Number of rows of Parquet files, from their footers; None for formats that would have to be read."""
    files = files_of(path, split, subset)
    if any(file.suffix != ".parquet" for file in files):
        return None
    return sum(pq.read_metadata(file).num_rows for file in files)


def files_of(path: Path, split: str, subset: str | None = None) -> list[Path]:
    """The files of `split`, or of several splits joined by `+`, in reading order. DataError if one is missing."""
    splits = splits_of(path, subset)
    files: list[Path] = []
    for name in split.split("+"):
        if name not in splits:
            found = ", ".join(nearest_first(name, splits)) or "none"
            raise DataError(
                f"dataset split {name!r}: not in {path}. Splits found: {found}. Set dataset.train_split "
                "and dataset.test_split to splits that are there."
            )
        files += splits[name]
    return files


def splits_of(path: Path, subset: str | None = None) -> dict[str, list[Path]]:
    """Split name -> its files in order."""
    if path.is_file():
        if _parse(path.name) is None:
            raise DataError(f"{path} is not a data file. Allowed: .jsonl, .csv, .tsv, .parquet, and *_GroundTruth.txt.")
        return {"train": [path]}
    splits: dict[str, list[Path]] = {}
    for file, split in _data_files(path, subset):
        splits.setdefault(split, []).append(file)
    for split, files in splits.items():
        folders = sorted({str(_home(file, split).relative_to(path)) for file in files})
        if len(folders) > 1:
            raise DataError(
                f"split {split!r} of {path} is in several folders: {', '.join(folders)}. Set "
                "dataset.source.subset to one of them."
            )
    return splits


def _data_files(path: Path, subset: str | None) -> list[tuple[Path, str]]:
    files = sorted(file for file in path.rglob("*") if not _hidden(file.relative_to(path)) and file.is_file())
    named = [(file, split) for file in files if (split := _split_name(file)) is not None]
    if subset is None:
        return named
    inside = [(file, split) for file, split in named if subset in file.relative_to(path).parts[:-1]]
    return inside or [(file, split) for file, split in named if file.parent == path]


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _parse(name: str) -> tuple[str, str] | None:
    match = _NAME.match(name) or _RATED.match(name)
    return (match["stem"], match["format"]) if match else None


def _split_name(file: Path) -> str | None:
    parsed = _parse(file.name)
    if parsed is None:
        return None
    stem = _SHARD.sub("", parsed[0])
    return file.parent.name.removeprefix("partial-") if stem.isdigit() else stem


def _home(file: Path, split: str) -> Path:
    """The folder of the subset: shards called 0000.parquet lie one level deeper."""
    return file.parent.parent if file.parent.name.removeprefix("partial-") == split else file.parent


def _read(file: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    parsed = _parse(file.name)
    assert parsed is not None
    try:
        if parsed[1] == "parquet":
            yield from _parquet(file, columns, optional)
            return
        with _text(file) as lines:
            yield from {"jsonl": _jsonl, "csv": _csv, "tsv": _tsv, "txt": _read_ratings}[parsed[1]](lines)
    except (ValueError, TypeError, OSError, EOFError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"cannot read {file}: {error}. Fetch or write the file again.") from error


def _text(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return cast(TextIO, gzip.open(file, "rt", encoding="utf-8", newline=""))
    return file.open(encoding="utf-8", newline="")


def _parquet(file: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(file) as opened:
        there = opened.schema_arrow.names
        wanted = [name for name in there if name in {*columns, *optional}]
        if not columns or not {*columns} <= {*there}:
            wanted = None
        for batch in opened.iter_batches(BATCH, columns=wanted):
            yield from batch.to_pylist()


def _jsonl(lines: TextIO) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise TypeError(f"line {number} is not a JSON object")
        yield _without_lone_surrogates(row) if "\\ud" in line.lower() else row


def _without_lone_surrogates(row: Row) -> Row:
    """Halves of characters, legal in JSON but not in UTF-8, become `?`."""
    return json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))


def _csv(lines: TextIO, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    for row in csv.DictReader(lines, delimiter=delimiter, strict=True):
        if None in row or None in row.values():
            raise ValueError(f"a row has another number of fields than the header: {list(row.values())[:5]}")
        yield row


def _tsv(lines: TextIO) -> Iterator[Row]:
    return _csv(lines, "\t")


def _read_ratings(lines: TextIO) -> Iterator[Row]:
    """vaderSentiment's files: id, mean rating and text, separated by tabs, without a header."""
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip("\r\n").split("\t", 2)
        if len(fields) != 3:
            raise ValueError(f"line {number} is not `id <tab> rating <tab> text`")
        yield {"id": fields[0], "mean": float(fields[1]), "text": fields[2]}
