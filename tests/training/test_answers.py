"""Texts with their answers as a model reads them, and the room that is left for what it writes."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.tiny import sentences
from w2s_sweep.errors import ModelError
from w2s_sweep.models.load import load_backbone
from w2s_sweep.training.answers import read_prompts
from w2s_sweep.training.examples import Rows

TARGETS = ["good", "bad good"]


@pytest.fixture(scope="module")
def backbone(tiny_llama_folder):
    return load_backbone(tiny_llama_folder)


def read(backbone, most, answers, max_tokens=24):
    """As a stage reads two rows of which the longest target has two tokens."""
    settings = SimpleNamespace(max_tokens=max_tokens, max_new_tokens=most, model={"most": most})
    context = SimpleNamespace(settings=settings, stage=SimpleNamespace(inputs={"data": "two rows"}))
    rows = Rows(np.array(["a", "b"]), sentences(2, most=30), np.ones(2), np.array(["half_a"] * 2), targets=TARGETS)
    return read_prompts(context, backbone, rows, answers)


def test_a_text_may_be_longer_than_the_longest_target(backbone):
    long = " ".join(["good"] * 9)
    (usual, few, many) = (read(backbone, most, {0: long}) for most in (None, 2, 12))
    width, said = usual.most - 1, len(backbone.tokenizer(long, add_special_tokens=False)["input_ids"])
    assert (few.most, many.most) == (2, 12)
    assert [len(one.answers[0]) for one in (usual, few, many)] == [width + 1, width + 1, said + 1]
    for one, room in ((usual, width + 1), (few, width + 1), (many, 12)):
        assert max(map(len, one.rows)) <= 24 - room
        assert one.answers[0][-1] == one.end


def test_a_text_that_leaves_no_room_is_refused(backbone):
    with pytest.raises(ModelError, match=r"dataset.max_new_tokens: 24 leaves no room .* dataset.max_tokens=24"):
        read(backbone, 24, {})
