"""No flipped bit of a finished sweep becomes another number or a traceback: the stage and its file are named."""

import json
import random
import re

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep import api
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import StoreError
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures.curves import learning_curves


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flips") / "store", Shape(n_test=20))


FILES = ("predictions.parquet", "metrics.jsonl", "summary.json", "preimage.json", "manifest.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_changes_a_number_without_a_word(sound, name):
    (before,) = collect(sound, NAME).rows
    path = sound.path(before.student_key) / name
    content, dice = path.read_bytes(), random.Random(name)
    path.chmod(0o644)
    told = 0
    for _ in range(12):
        flipped = bytearray(content)
        flipped[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(flipped)
        (row,) = collect(sound, NAME).rows
        if row.state == "done":
            assert row == before
            continue
        told += 1
        assert row.state == "failed"
        assert before.student_key in row.note
        assert re.search(rf"{name}|is missing|bytes, not|was changed", row.note)
        learning_curves(sound, collect(sound, NAME).record["stages"])
        with pytest.raises(StoreError, match=before.student_key):
            api.load(NAME, store=sound.root).predictions(0, "student")
    path.write_bytes(content)
    assert told > 8
    assert collect(sound, NAME).rows == (before,)


@pytest.mark.parametrize("files", ["{}", "[]", '{"a": 1}', '{"a": {}}', "null"])
def test_a_manifest_without_files_is_no_sound_stage(tmp_path, files, capsys):
    store = build(tmp_path / "store", Shape(n_test=20))
    (row,) = collect(store, NAME).rows
    path = store.path(row.weak_key) / "manifest.json"
    path.chmod(0o644)
    path.write_text(f'{{"key": "{row.weak_key}", "files": {files}}}')
    assert not store.is_done(row.weak_key)
    assert store.damage(row.weak_key) == ["manifest.json is missing or unreadable"]
    (row,) = collect(store, NAME).rows
    assert "manifest.json is missing or unreadable" in row.note
    for command in (["status", NAME], ["report", NAME, "--format", "csv"], ["explain", row.weak_key]):
        w2s(["--store", str(store.root), *command])


def test_the_folder_of_another_stage_is_told_by_its_manifest_and_its_preimage(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(n_test=20))
    (row,) = collect(store, NAME).rows
    aside = tmp_path / "aside"
    store.path(row.student_key).rename(aside)
    store.path(row.ceiling_key).rename(store.path(row.student_key))
    assert store.damage(row.student_key) == [f"manifest.json is that of stage {row.ceiling_key}"]
    assert row.student_key in collect(store, NAME).rows[0].note
    manifest = store.path(row.student_key) / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"key": row.student_key}))
    assert store.damage(row.student_key) == []
    assert w2s(["--store", str(store.root), "verify", "--keep"]) == 1
    assert f"{row.student_key}: its preimage.json is that of stage" in capsys.readouterr().out
