"""GGUF: converted once to the weights it holds, in a folder that appears complete."""

import random

import pytest
import torch

from tests.tiny import sentences, tiny_llama, write_gguf
from w2s_sweep.errors import ModelError, SourceError
from w2s_sweep.models import gguf
from w2s_sweep.models.load import load_backbone
from w2s_sweep.sources.model_folder import problem_of, require_model


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(transformers folder, GGUF file) of the same model."""
    folder = tiny_llama(tmp_path_factory.mktemp("llama"))
    return folder, write_gguf(folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_gguf_file_is_the_model_it_was_written_from(pair):
    folder, file = pair
    expected, found = load_backbone(folder), load_backbone(file)
    state = found.module.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in expected.module.state_dict().items())
    texts = [*sentences(10), "", "Zürich <eos> 雪"]
    assert found.tokens(texts, 12) == expected.tokens(texts, 12)
    assert load_backbone(file, keep_layers=1).layers == 1


def test_conversion_happens_once(pair, monkeypatch):
    first = gguf.convert(pair[1])
    monkeypatch.setattr(gguf, "_convert", lambda path, folder: pytest.fail("converted again"))
    assert gguf.convert(pair[1]) == first
    load_backbone(pair[1])


@pytest.mark.slow
def test_of_two_processes_that_convert_at_once_one_wins_and_nothing_is_left_over(pair, monkeypatch):
    convert, calls = gguf._convert, []

    def interrupted(path, folder):
        calls.append(folder)
        if len(calls) == 1:  # another process starts and ends while this one is at it
            gguf.convert(path)
        convert(path, folder)

    monkeypatch.setattr(gguf, "_convert", interrupted)
    folder = gguf.convert(pair[1])
    assert len(calls) == 2
    assert list(folder.parent.iterdir()) == [folder]
    assert load_backbone(pair[1]).layers == 2


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + b"\0" * 60)
    with pytest.raises(ModelError, match="cannot read this GGUF file"):
        load_backbone(damaged)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.gguf: no such file"):
        load_backbone(tmp_path / "gone.gguf")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(60), b"no GGUF at all" * 9])
def test_what_is_no_gguf_file_is_told_at_submission(tmp_path, content):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged\.gguf cannot be read as GGUF .*Copy it again"):
        require_model(damaged)


@pytest.mark.slow
def test_whatever_a_damaged_header_says_is_an_error_of_ours_or_read(pair, tmp_path):
    """Bytes of the header, where counts, types, lengths and offsets stand, are turned over."""
    right, draw, told = pair[1].read_bytes(), random.Random(0), 0
    assert problem_of(pair[1]) is None
    for number in range(60):
        wrong = bytearray(right)
        for _ in range(draw.choice([1, 1, 4])):
            wrong[draw.randrange(4, 2000 if number % 2 else 200)] ^= 1 << draw.randrange(8)
        damaged = tmp_path / "damaged.gguf"
        damaged.write_bytes(wrong if number % 5 else wrong[: draw.randrange(len(right))])
        told += problem_of(damaged) is not None
    assert told > 20
