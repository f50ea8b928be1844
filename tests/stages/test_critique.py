"""Critiques: the likeliest continuation of each text and the question, behind both of them; the rows are the same."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tiny import sentences
from w2s_sweep.models.load import load_backbone
from w2s_sweep.runner import process_cache
from w2s_sweep.stages import critique
from w2s_sweep.training.examples import EXAMPLES

QUESTION = " is it good ?"
NEW = 6


@pytest.fixture
def told(tmp_path, tiny_llama_folder, monkeypatch):
    """A stage that was run on pairs: the table before and after, and its summary."""
    texts = sentences(6, most=6)
    before = pa.table(
        {"id": [*"abc"], "text": texts[:3], "label": pa.array([0, 1, 1], pa.int8()), "text_other": texts[3:]}
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    pq.write_table(before, tmp_path / "data" / EXAMPLES)
    summary = {}
    context = SimpleNamespace(
        settings=SimpleNamespace(precision="fp32", question=QUESTION, max_new_tokens=NEW, max_tokens=48),
        input=lambda name: tmp_path / name,
        out=tmp_path / "out",
        progress_or_stop=lambda done, total: None,
        finish=summary.update,
    )
    monkeypatch.setattr(process_cache, "frozen_backbone", lambda context, precision: load_backbone(tiny_llama_folder))
    monkeypatch.setattr(critique, "fit_device", lambda context, backbone, precision: 512)
    critique.run(context)
    return before, pq.read_table(tmp_path / "out" / EXAMPLES), summary


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
    assert summary == {"examples": 3}
