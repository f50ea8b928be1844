"""Odd model folders, each told at once with what to give instead; and what the files of a right one say."""

import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import identify
from w2s_sweep.sources.model_facts import read_facts

CONFIG = {"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 11}


def write_model(folder: Path, **change: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | change))
    (folder / "tokenizer.json").write_text("{}")
    write_weights(folder / "model.safetensors")
    return folder


def write_weights(path: Path, cut: int = 0) -> None:
    tensors = {"model.embed.weight": [11, 8], "lm_head.weight": [11, 8], "model.layers.0.weight": [8, 8]}
    head, at = {}, 0
    for name, shape in tensors.items():
        size = 4 * shape[0] * shape[1]
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at - cut))


def only_bin(f: Path) -> None:
    (f / "model.safetensors").rename(f / "pytorch_model.bin")


def shard_missing(f: Path) -> None:
    (f / "model.safetensors").rename(f / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (f / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def change_config(**change: object) -> Callable[[Path], object]:
    return lambda f: (f / "config.json").write_text(json.dumps(CONFIG | change))


def adapter(f: Path) -> None:
    (f / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))


def move_into(*names: str) -> Callable[[Path], object]:
    def move(f: Path) -> None:
        for name in names:
            shutil.copytree(f.parent / "right", f / name, dirs_exist_ok=True)
        for path in f.iterdir():
            if path.is_file():
                path.unlink()

    return move


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda f: (f / name).write_bytes(content)


def remove(*names: str) -> Callable[[Path], object]:
    return lambda f: [(f / name).unlink() for name in names]


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "only .bin": (only_bin, r"pytorch_model.bin, a pickle.*Load and save it once"),
    "a shard is absent": (shard_missing, "lacks 1 of 2 files.*model-00002-of-00002"),
    "no config": (remove("config.json"), "holds no config.json .found: model.safetensors"),
    "config is no JSON": (write("config.json", b"{"), "config.json that cannot be read"),
    "no tokenizer": (remove("tokenizer.json"), "holds no tokenizer"),
    "no weights": (remove("model.safetensors"), "has no weights"),
    "an adapter beside weights": (adapter, r"holds an adapter.*org/base.*merge_and_unload"),
    "encoder-decoder": (change_config(model_type="t5", is_encoder_decoder=True), "encoder-decoder .t5"),
    "custom code": (change_config(model_type="ours", auto_map={"AutoModel": "m.M"}), "needs code of its own"),
    "GPTQ": (change_config(quantization_config={"quant_method": "gptq"}), "quantised .gptq"),
    "no language model": (change_config(model_type="vit", vocab_size=None), "no language model"),
    "no heads": (change_config(num_attention_heads=0), "has num_attention_heads: 0 .*must be above 0"),
    "negative width": (change_config(hidden_size=-8), "has hidden_size: -8 "),
    "negative layers": (change_config(num_hidden_layers=-1), "has num_hidden_layers: -1 "),
    "no feed-forward layer": (change_config(intermediate_size=0), "has intermediate_size: 0 "),
    "no keys": (change_config(num_key_value_heads=0), "has num_key_value_heads: 0 "),
    "hub cache": (move_into("snapshots/0a"), r"give .*snapshots/0a\."),
    "all of a hub cache": (move_into("models--org--m/snapshots/0b"), r"give .*models--org--m/snapshots/0b\."),
    "Trainer output": (move_into("checkpoint-500", "checkpoint-1000"), r"give .*checkpoint-1000\."),
    "cut off": (lambda f: write_weights(f / "model.safetensors", cut=9), "is cut off"),
    "git lfs": (write("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"), "pointer of git lfs"),
    "empty": (move_into(), "holds no config.json .found: nothing"),
    "original Llama": (lambda f: (f / "config.json").rename(f / "params.json"), "original Llama"),
}


@pytest.mark.parametrize(("spoil", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_folder_is_told_at_once(tmp_path: Path, spoil: Callable[[Path], object], told: str) -> None:
    write_model(tmp_path / "right")
    spoil(write_model(tmp_path / "model"))
    with pytest.raises(SourceError, match=told):
        identify(LocalSource(path=str(tmp_path / "model")), "model")


def test_a_file_of_weights_names_its_folder(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    with pytest.raises(SourceError, match=f"is a file. Give its folder, {folder}"):
        identify(LocalSource(path=str(folder / "model.safetensors")), "model")


def test_what_the_files_say(tmp_path: Path) -> None:
    facts = read_facts(write_model(tmp_path / "model", max_position_embeddings=77))
    assert (facts.layers, facts.hidden, facts.heads, facts.context) == (3, 8, 2, 77)
    assert facts.params == 11 * 8 + 8 * 8  # without the head
    assert facts.lora_targets == ("q_proj", "v_proj")
    assert identify(LocalSource(path=str(tmp_path / "model")), "model")["kind"] == "local"


@pytest.mark.parametrize(
    ("family", "targets", "encoder"),
    [
        ("gpt2", ("c_attn",), False),
        ("gpt_neox", ("query_key_value",), False),
        ("qwen3", ("q_proj", "v_proj"), False),
        ("bert", ("query", "value"), True),
        ("roberta", ("query", "value"), True),
        ("distilbert", ("q_lin", "v_lin"), True),
        ("modernbert", ("Wqkv",), True),
        ("deberta-v2", ("query_proj", "value_proj"), True),
    ],
)
def test_families(tmp_path: Path, family: str, targets: tuple[str, ...], encoder: bool) -> None:
    facts = read_facts(write_model(tmp_path / "model", model_type=family))
    assert (facts.lora_targets, facts.is_encoder) == (targets, encoder)


@pytest.mark.slow
def test_no_torch_is_loaded() -> None:
    import subprocess

    code = "import sys, w2s_sweep.sources.model_folder; assert not {'torch', 'transformers'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
