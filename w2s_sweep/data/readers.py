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

_SHARD = re.compile(r"-(?P<number>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]+)?$")
_NAME = re.compile(r"(?P<stem>.+?)\.(?P<format>jsonl|json|csv|tsv|parquet|arrow)(\.gz)?$", re.IGNORECASE)
_RATED = re.compile(r"(?P<stem>.+_GroundTruth)\.(?P<format>txt)$")
BATCH = 4096
FORMATS = ".jsonl, .json, .csv, .tsv (each also .gz), .parquet"
ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files beside rows that describe them."""


def read_rows(
    path: Path, split: str, subset: str | None = None, columns: Sequence[str] = (), optional: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows of `split` of a fetched file or folder, in a fixed order.

    A folder holds `<split>.jsonl|json|csv|tsv|parquet` (text also as .gz), the hub's layouts
    `[<subset>/|data/]<split>-00000-of-00001.parquet` and `<subset>/<split>/0000.parquet`, or what `save_to_disk` of the
    datasets library writes, `[<split>/]data-00000-of-00001.arrow`; a single file is the split `train`. `a+b` reads
    split a, then b. Where the format allows, only `columns` and the `optional` ones that exist are read, if all of
    `columns` exist. Raises DataError.
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
            raise DataError(f"{path} is not a data file. Allowed: {FORMATS}, and *_GroundTruth.txt.")
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
        _require_one(path, split, files)
    return splits


def _require_one(path: Path, split: str, files: Sequence[Path]) -> None:
    """DataError where the files of a split are not the parts of one table."""
    names = ", ".join(file.name for file in files)
    formats = {parsed[1] for file in files if (parsed := _parse(file.name))}
    if len(formats) > 1:
        raise DataError(f"split {split!r} of {path} is there in {len(formats)} formats: {names}. Leave one of them.")
    shards = [match for file in files if (match := _SHARD.search((_parse(file.name) or ("", ""))[0]))]
    numbered = len(shards) or sum((_parse(file.name) or ("", ""))[0].isdigit() for file in files)
    if len(files) > 1 and numbered < len(files):
        raise DataError(f"split {split!r} of {path} is there in several files: {names}. Leave one of them.")
    if shards and {int(match["number"]) for match in shards} != set(range(int(shards[0]["of"]))):
        raise DataError(
            f"split {split!r} of {path} has {len(shards)} of {int(shards[0]['of'])} parts: {names}. Add the others."
        )


def _data_files(path: Path, subset: str | None) -> list[tuple[Path, str]]:
    files = sorted(file for file in path.rglob("*") if not _hidden(file.relative_to(path)) and file.is_file())
    named = [(file, split) for file in files if (split := _split_name(file, path)) is not None]
    if subset is None:
        return named
    inside = [(file, split) for file, split in named if subset in file.relative_to(path).parts[:-1]]
    return inside or [(file, split) for file, split in named if file.parent == path]


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _parse(name: str) -> tuple[str, str] | None:
    match = _NAME.match(name) or _RATED.match(name)
    return (match["stem"], match["format"].lower()) if match else None


def _split_name(file: Path, folder: Path) -> str | None:
    parsed = _parse(file.name)
    if parsed is None or file.name in ABOUT:
        return None
    stem = _SHARD.sub("", parsed[0])
    if parsed[1] == "arrow":  # beside the rows lie cache-*.arrow, what the library computed of them
        return None if stem != "data" else "train" if file.parent == folder else file.parent.name
    return file.parent.name.removeprefix("partial-") if stem.isdigit() else stem


def _home(file: Path, split: str) -> Path:
    """The folder of the subset: shards called 0000.parquet lie one level deeper."""
    return file.parent.parent if file.parent.name.removeprefix("partial-") == split else file.parent


def _read(file: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    parsed = _parse(file.name)
    assert parsed is not None
    try:
        if parsed[1] in ("parquet", "arrow"):
            yield from (_parquet if parsed[1] == "parquet" else _arrow)(file, columns, optional)
            return
        with _text(file) as lines:
            yield from {"jsonl": _jsonl, "json": _json, "csv": _csv, "tsv": _tsv, "txt": _read_ratings}[parsed[1]](
                lines
            )
    except (ValueError, TypeError, OSError, EOFError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"cannot read {file}: {error}. Fetch or write the file again.") from error


def _text(file: Path) -> TextIO:
    """Spreadsheets write a byte-order mark, which would be part of the first column's name."""
    if file.suffix.lower() == ".gz":
        return cast(TextIO, gzip.open(file, "rt", encoding="utf-8-sig", newline=""))
    return file.open(encoding="utf-8-sig", newline="")


def _parquet(file: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(file) as opened:
        there = opened.schema_arrow.names
        wanted = [name for name in there if name in {*columns, *optional}]
        if not columns or not {*columns} <= {*there}:
            wanted = None
        for batch in opened.iter_batches(BATCH, columns=wanted):
            yield from batch.to_pylist()


def _arrow(file: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    with pa.memory_map(str(file)) as source:
        for batch in pa.ipc.open_stream(source):
            yield from batch.to_pylist()


def class_names(path: Path, split: str, subset: str | None = None) -> dict[str, list[str]]:
    """Column -> names of its classes 0, 1, ..., where files of the datasets library say them."""
    for file in files_of(path, split, subset):
        parsed = _parse(file.name)
        if parsed is None or parsed[1] not in ("parquet", "arrow"):
            return {}
        if parsed[1] == "parquet":
            schema = pq.read_schema(file)
        else:
            with pa.memory_map(str(file)) as source:
                schema = pa.ipc.open_stream(source).schema
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return {name: one["names"] for name, one in about.items() if "names" in one}
    return {}


def _json(lines: TextIO) -> Iterator[Row]:
    """A list of objects, or an object a line."""
    if lines.read(1) != "[":
        lines.seek(0)
        yield from _jsonl(lines)
        return
    lines.seek(0)
    for number, row in enumerate(json.load(lines)):
        if not isinstance(row, dict):
            raise TypeError(f"entry {number} is not a JSON object")
        yield _without_lone_surrogates(cast(Row, row))


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
