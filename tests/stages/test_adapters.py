"""What is trained on an adapter on its base is what is trained on the two merged, and can be taken out whole."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.command import launch, sweep_record
from w2s_sweep.cli import main as w2s

TUNED = ["finetune=lora", "finetune.lr=0.003", "finetune.epochs=2", "threads=1", "tracker=none"]


@pytest.fixture
def merged_and_apart(tmp_path, tiny_models):
    """Folders: of a model with an adapter merged into it, and of that adapter alone."""
    base = next(word.partition("=")[2] for word in tiny_models if word.startswith("strong.path="))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(tmp_path / "adapter")
    shutil.copytree(base, tmp_path / "merged")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    return tmp_path / "merged", tmp_path / "adapter"


@pytest.mark.slow
@pytest.mark.extensive
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it
def test_a_student_trained_on_an_adapter_is_that_on_the_merged_model(
    tmp_path, tiny_models, tiny_task, merged_and_apart, capsys
):
    said, store, key = [], tmp_path, ""
    for folder in merged_and_apart:
        store = tmp_path / f"store of {folder.name}"
        words = [word for word in tiny_models if not word.startswith("strong.path=")]
        status, _, err = launch(f"store='{store}'", *words, f"strong.path='{folder}'", *tiny_task, *TUNED)
        assert status == 0, err
        key = sweep_record(store)["cells"][0]["roles"]["student"]
        table = pq.read_table(store / "stages" / key / "predictions.parquet")
        said.append(np.stack(table["logits"].to_pylist()))
    np.testing.assert_allclose(*said, atol=2e-4)
    assert np.ptp(said[0]) > 0.01
    taken_out = tmp_path / "out"
    assert w2s(["--store", str(store), "export-model", key, str(taken_out)]) == 1
    assert "--whole" in capsys.readouterr().err
    assert w2s(["--store", str(store), "export-model", key, str(taken_out), "--whole"]) == 0
    assert Path(taken_out, "model.safetensors").is_file()
