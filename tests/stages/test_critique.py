"""Critiques: the likeliest continuation of each text and the question, behind both of them; the rows are the same."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tiny import sentences
from w2s_sweep.errors import Preempted
from w2s_sweep.models.load import load_backbone
from w2s_sweep.runner import process_cache
from w2s_sweep.stages import critique
from w2s_sweep.training.examples import EXAMPLES

QUESTION = " is it good ?"
NEW = 6


class Running:
    """A stage that runs in `folder`, and is asked to leave after so many chunks."""

    def __init__(self, folder, leave_after=None):
        self.settings = SimpleNamespace(precision="fp32", question=QUESTION, max_new_tokens=NEW, max_tokens=48)
        self.out, self.work, self.summary, self.told, self.continued = folder / "out", folder, {}, [], 0
        self.leave_after = leave_after

    def input(self, name):
        return self.work.parent / name

    def stop(self):
        return self.leave_after is not None and bool(self.told) and self.told[-1][0] >= self.leave_after

    def checkpoint_due(self):
        return False

    def on_continue(self):
        self.continued += 1

    def progress(self, done, total):
        self.told.append((done, total))

    def finish(self, summary):
        self.summary |= summary


@pytest.fixture
def told(tmp_path, tiny_llama_folder, monkeypatch):
    """A stage that was run on pairs: the table before and after, and its summary."""
    texts = sentences(6, most=6)
    before = pa.table(
        {"id": [*"abc"], "text": texts[:3], "label": pa.array([0, 1, 1], pa.int8()), "text_other": texts[3:]}
    )
    (tmp_path / "data").mkdir()
    pq.write_table(before, tmp_path / "data" / EXAMPLES)
    monkeypatch.setattr(process_cache, "frozen_backbone", lambda context, precision: load_backbone(tiny_llama_folder))
    monkeypatch.setattr(critique, "fit_writer", lambda context, model, precision: 512)
    (tmp_path / "whole" / "out").mkdir(parents=True)
    context = Running(tmp_path / "whole")
    critique.run(context)
    return before, pq.read_table(context.out / EXAMPLES), context.summary


def test_each_text_is_followed_by_the_question_and_the_likeliest_answer(told, tiny_llama_folder):
    before, after, summary = told
    backbone, model = load_backbone(tiny_llama_folder), AutoModelForCausalLM.from_pretrained(tiny_llama_folder)
    for name in ("text", "text_other"):
        for text, found in zip(before[name].to_pylist(), after[name].to_pylist(), strict=True):
            asked = text + QUESTION
            assert found.startswith(asked)
            (ids,) = backbone.tokens([asked], 48)
            new = list(ids)
            for _ in range(NEW):
                new.append(int(model(torch.tensor([new])).logits[0, -1].argmax()))
                if new[-1] == backbone.tokenizer.eos_token_id:
                    break
            assert found == backbone.tokenizer.decode(new, skip_special_tokens=True)
    assert after.drop(["text", "text_other"]).equals(before.drop(["text", "text_other"]))
    assert summary == {"examples": 3, "decoding": "together"}


def test_a_stage_that_was_stopped_goes_on_and_ends_as_one_that_was_not(told, tmp_path, monkeypatch):
    monkeypatch.setattr(critique, "CHUNK", 2)
    (tmp_path / "stopped" / "out").mkdir(parents=True)
    first = Running(tmp_path / "stopped", leave_after=4)
    with pytest.raises(Preempted):
        critique.run(first)
    assert (first.told[0], first.told[-1]) == ((0, 6), (4, 6))
    assert (2, 6) in first.told
    second = Running(tmp_path / "stopped")
    critique.run(second)
    assert (second.told[0], second.told[-1], second.continued) == ((4, 6), (6, 6), 1)
    assert pq.read_table(second.out / EXAMPLES).equals(told[1])
