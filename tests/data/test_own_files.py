"""Odd files of one's own, each with what must come: the same 24 examples, or a refusal that says what to do."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.setups import data_settings, dataset
from w2s_sweep.cells.own_splits import own_splits
from w2s_sweep.config.source import LocalSource
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.readers import splits_of
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError

ROWS = [{"text": f"text {i}", "label": i % 2} for i in range(24)]
WORDS = [{"text": row["text"], "label": ("negative", "positive")[row["label"]]} for row in ROWS]
OTHER = [{"sentence": row["text"], "sentiment": row["label"], "text": 7} for row in ROWS]
NAMES = {"labels": ("negative", "positive")}
MAPPED = {"columns": (("label", "sentiment"), ("text", "sentence"))}


def lines(rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows: Any) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows: Any, schema: pa.Schema | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()


def arrow(rows: Any) -> bytes:
    out, made = io.BytesIO(), pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(out, made.schema) as writer:
        writer.write_table(made)
    return out.getvalue()


def class_label() -> pa.Schema:
    features = {"label": {"names": ["negative", "positive"], "_type": "ClassLabel"}}
    about = json.dumps({"info": {"features": features}})
    return pa.schema([("text", pa.string()), ("label", pa.int64())], metadata={"huggingface": about})


def category(rows: Any) -> bytes:
    out, made = io.BytesIO(), pa.Table.from_pylist(rows)
    made = made.set_column(1, "label", made["label"].dictionary_encode())
    pq.write_table(made, out)
    return out.getvalue()


def other(*changed: Mapping[str, Any]) -> list[Any]:
    return [*ROWS, *changed]


@dataclass(frozen=True)
class Case:
    """A folder, or with one file named `file` that alone, and settings."""

    files: Mapping[str, bytes]
    change: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)


GOOD: dict[str, Case] = {
    "json array": Case({"train.json": json.dumps(ROWS).encode()}),
    "json lines called json": Case({"train.json": lines(ROWS)}),
    "gzip": Case({"train.jsonl.gz": gzip.compress(lines(ROWS))}),
    "json array, gzip": Case({"train.json.gz": gzip.compress(json.dumps(ROWS).encode())}),
    "upper-case ending": Case({"train.CSV": table(ROWS)}),
    "byte-order mark, csv": Case({"train.csv": b"\xef\xbb\xbf" + table(ROWS)}),
    "byte-order mark, jsonl": Case({"train.jsonl": b"\xef\xbb\xbf" + lines(ROWS)}),
    "numbered shards": Case(
        {f"train-0000{i}-of-00003.parquet": parquet(ROWS[8 * i : 8 * i + 8]) for i in range(3)} | {"NOTE.md": b"x"}
    ),
    "save_to_disk": Case(
        {
            "data-00000-of-00001.arrow": arrow(ROWS),
            "cache-0a.arrow": b"x",
            "state.json": b"{}",
            "dataset_info.json": b"{}",
        }
    ),
    "save_to_disk of several splits": Case(
        {"dataset_dict.json": b"{}", "train/data-00000-of-00001.arrow": arrow(ROWS)}
    ),
    "names of columns": Case({"train.jsonl": lines(OTHER)}, MAPPED),
    "names of columns, parquet": Case({"train.parquet": parquet(OTHER)}, MAPPED),
    "names of classes": Case({"train.csv": table(WORDS)}, NAMES),
    "yes and no": Case(
        {"train.jsonl": lines([row | {"label": ("no", "yes")[row["label"]]} for row in ROWS])},
        {"labels": ("no", "yes")},
    ),
    "true and false": Case({"train.jsonl": lines([row | {"label": bool(row["label"])} for row in ROWS])}),
    "1.0 in text": Case({"train.csv": table([row | {"label": f"{row['label']}.0"} for row in ROWS])}),
    "category": Case({"train.parquet": category(WORDS)}, NAMES),
    "ClassLabel by number": Case({"train.parquet": parquet(ROWS, class_label())}),
    "ClassLabel by name": Case({"train.parquet": parquet(ROWS, class_label())}, NAMES),
    "rows without a label": Case(
        {"train.jsonl": lines(other({"text": "a", "label": None}, {"text": "b", "label": -1}))},
        left_out={"without a label that the task uses": 2},
    ),
    "odd rows that may be left out": Case(
        {
            "train.jsonl": lines(
                other({"text": 7, "label": 1}, {"text": None, "label": 0}, {"text": "c", "label": "so"})
            )
        },
        {"odd_rows": "skip"},
        left_out={"whose text is int": 1, "whose text is null": 1, "whose label is no class": 1},
    ),
}
BAD: dict[str, Case] = {
    "text that is a number": Case({"train.jsonl": lines(other({"text": 7, "label": 1}))}, refused="row 24.*holds int"),
    "text that is null": Case({"train.jsonl": lines(other({"text": None, "label": 1}))}, refused="row 24.*holds null"),
    "text that is a list": Case({"train.jsonl": lines(other({"text": ["a"], "label": 1}))}, refused="holds list"),
    "names without labels": Case({"train.csv": table(WORDS)}, refused=r"row 0.*'negative'.*dataset.labels=\[no,yes\]"),
    "a third name": Case(
        {"train.jsonl": lines([*WORDS, {"text": "x", "label": "neutral"}])}, NAMES, refused="row 24.*'neutral'"
    ),
    "a third class": Case({"train.jsonl": lines(other({"text": "x", "label": 2}))}, refused="row 24.*allowed: 0, 1"),
    "half a label": Case({"train.jsonl": lines(other({"text": "x", "label": 0.5}))}, refused="not a whole number"),
    "column not there": Case(
        {"train.jsonl": lines(OTHER)}, {"columns": (("text", "sentense"),)}, refused="Columns found: sentence"
    ),
    "two formats": Case({"train.csv": table(ROWS), "train.jsonl": lines(ROWS)}, refused="2 formats: train.csv"),
    "twice": Case({"train.csv": table(ROWS), "train.csv.gz": gzip.compress(table(ROWS))}, refused="in several files"),
    "a shard is absent": Case(
        {f"train-0000{i}-of-00003.parquet": parquet(ROWS) for i in (0, 2)}, refused="2 of 3 parts"
    ),
    "no object": Case({"train.json": b"[1, 2]"}, refused="entry 0 is not a JSON object"),
}  # fmt: skip


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def settings(**change: Any) -> Any:
    return data_settings(task="text_label", **change)


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
def test_what_is_read(tmp_path: Path, case: Case) -> None:
    left_out = Counter[str]()
    examples = build_examples(settings(**case.change), write(tmp_path, case.files), left_out)
    found = {(row["text"], row["label"]) for row in examples.to_pylist()}
    assert found == {(row["text"], row["label"]) for row in ROWS}
    assert {reason: count for reason, count in left_out.items() if count} == case.left_out


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_is_refused(tmp_path: Path, case: Case) -> None:
    with pytest.raises(DataError, match=case.refused):
        build_examples(settings(**case.change), write(tmp_path, case.files))


def own(tmp_path: Path, files: Mapping[str, bytes]) -> tuple[Any, str]:
    from dataclasses import replace

    auto = replace(dataset(), source=LocalSource(path=str(write(tmp_path, files))), test_split="auto")
    return own_splits(replace(auto, validation_split="auto"))


def test_the_files_of_a_folder_are_the_splits_that_they_are_called(tmp_path: Path) -> None:
    split: Callable[[str], bytes] = lambda name: lines([row | {"text": f"{name} {row['text']}"} for row in ROWS])  # noqa: E731
    files = {f"{name}.jsonl": split(name) for name in ("train", "dev", "test", "extra")}
    found, note = own(tmp_path, files)
    assert (found.test_split, found.validation_split) == ("test", "dev")
    assert note.endswith("train 'train', test 'test', validation 'dev'; not read: extra.jsonl")
    made = settings(test_split="test", validation_split="dev")
    parts = assign(build_examples(made, tmp_path), found.split(0)).tolist()
    assert Counter(parts) == {"half_a": 12, "half_b": 12, "validation": 24, "test": 24}


def test_without_such_files_rows_are_held_out(tmp_path: Path) -> None:
    found, note = own(tmp_path, {"train.csv": table(ROWS), "readme.txt": b"x"})
    assert (found.test_split, found.validation_split) == (None, None)
    assert "not read: readme.txt" in note


def test_two_validation_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"validation_split: validation, dev"):
        own(tmp_path, {f"{name}.csv": table(ROWS) for name in ("train", "dev", "validation")})


def test_what_describes_rows_is_no_split(tmp_path: Path) -> None:
    write(tmp_path, {"dataset_info.json": b"{}", "train/data-00000-of-00001.arrow": arrow(ROWS)})
    assert list(splits_of(tmp_path)) == ["train"]
