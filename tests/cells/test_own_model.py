"""`strong.path=FOLDER` needs nothing else: what is known of the model comes from its files."""

from pathlib import Path
from typing import Any

import pytest

from tests.command import launch
from tests.sources.test_model_folder import write_model
from tests.tiny import tiny_llama, write_gguf
from w2s_sweep.cells.described import name_of
from w2s_sweep.cells.own_model import with_own_models
from w2s_sweep.errors import ConfigError

PRESET = {
    "name": "smollm2-135m", "path": None, "params": 134515008, "layers": 30, "hidden": 576, "feature_layer": 18,
    "lora_targets": ["q_proj", "v_proj"], "pooling": "last", "label_words": None, "lr_full": 5e-5,
}  # fmt: skip


def described(path: Path, *more: str, **change: Any) -> dict[str, Any]:
    cell = {"strong": {**PRESET, "path": str(path), **change}}
    return with_own_models([cell], [[f"++strong.path={path}", *more]])[0]["strong"]


def test_name_size_and_targets_come_from_the_files(tmp_path: Path) -> None:
    found = described(write_model(tmp_path / "my gpt", model_type="gpt2"))
    assert (found["name"], found["layers"], found["hidden"], found["params"]) == ("my-gpt", 3, 8, 152)
    assert (found["lora_targets"], found["feature_layer"], found["pooling"]) == (["c_attn"], None, "last")
    assert described(write_model(tmp_path / "enc", model_type="bert"))["pooling"] == "mean"


def test_what_was_set_stays_and_what_contradicts_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    assert described(folder, "strong.name=mine", name="mine")["name"] == "mine"
    assert described(folder, "strong.feature_layer=2", feature_layer=2)["feature_layer"] == 2
    with pytest.raises(ConfigError, match=r"strong\.layers: 12, but .* has 3"):
        described(folder, "strong.layers=12", layers=12)
    with pytest.raises(ConfigError, match=r"strong\.params: 7,000, but .* has 152"):
        described(folder, "strong.params=7000", params=7000)
    assert described(folder, "strong.params=150", params=150)["params"] == 150


def test_a_copy_of_a_model_that_is_named_has_to_look_like_it(tmp_path: Path) -> None:
    copy = write_model(tmp_path / "copy", num_hidden_layers=30, hidden_size=576)
    assert described(copy, "model@strong=smollm2_135m")["name"] == "smollm2-135m"
    with pytest.raises(ConfigError, match=r"model@strong=smollm2_135m, layers: 30, but .* has 3"):
        described(write_model(tmp_path / "other"), "model@strong=smollm2_135m")


def test_all_wrong_folders_are_told_together(tmp_path: Path) -> None:
    cell = {role: {**PRESET, "path": str(tmp_path / role)} for role in ("weak", "strong")}
    (tmp_path / "weak").mkdir()
    with pytest.raises(ConfigError, match="2 problems"):
        with_own_models([cell], [[f"{role}.path={tmp_path / role}" for role in cell]])


def test_gguf(tmp_path: Path) -> None:
    path = write_gguf(tiny_llama(tmp_path / "llama", layers=3, hidden=16), tmp_path / "Tiny.Q4.gguf")
    found = described(path)
    assert (found["name"], found["layers"], found["hidden"]) == ("Tiny.Q4", 3, 16)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/models--org--Qwen3-1B/snapshots/0af1", "Qwen3-1B"),
        ("/a/run 7/checkpoint-500", "run-7-checkpoint-500"),
        ("/a/b.gguf", "b"),
        ("/a/-", "model"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert name_of(Path(path)) == name


@pytest.mark.slow
def test_the_command_of_the_readme(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "my-llama")
    status, out, err = launch(f"strong.path={folder}", f"store={tmp_path / 'store'}", "plan_only=true")
    assert status == 0, err
    assert "features my-llama movie_sentiment" in out
    status, _, err = launch(f"strong.path={tmp_path}", f"store={tmp_path / 'store'}", "plan_only=true")
    assert status == 1
    assert f"give {folder}" in err
