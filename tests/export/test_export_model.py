"""Trained models taken out of the store: the lines of their README give the stored predictions, in several families."""

import dataclasses
import json
import random
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.once import Once
from tests.setups import cell
from tests.tiny import WORDS, tiny_bert, tiny_gpt2, tiny_llama, tiny_qwen2
from w2s_sweep.cli import main
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import StoreError
from w2s_sweep.export.model import export_model
from w2s_sweep.export.predict import predict_file
from w2s_sweep.launch.record import keys_by_role
from w2s_sweep.sources import identify
from w2s_sweep.store.files import write_json

TUNED = {"lr": 3e-3, "epochs": 1, "batch_size": 8, "precision": "fp32"}
HOW = {
    "full": Full(**TUNED),
    "lora": Lora(**TUNED),
    "dora": Lora(**TUNED, targets="all-linear", dora=True),
    "probe": Probe(epochs=3, precision="fp32"),
}
FAMILIES = {
    "gpt2": (tiny_gpt2, ("c_attn",), "last"),
    "llama": (tiny_llama, ("q_proj",), "last"),
    "qwen2": (tiny_qwen2, ("q_proj", "v_proj"), "last"),
    "bert": (tiny_bert, ("query",), "mean"),
}
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it
GOOD, BAD = ["good", "great", "fine", "superb"], ["bad", "poor", "dull", "awful"]


def texts(path, pairs, rows=64):
    draw = random.Random(0)
    with path.open("w") as file:
        for i in range(rows):
            words = [
                " ".join(draw.choices(WORDS[:14], k=draw.randint(1, 6)) + draw.choices(k, k=2)) for k in (GOOD, BAD)
            ]
            one = {"sentence": f" {words[i % 2]}", "label": i % 2}
            file.write(json.dumps({"prompt": f" film {i}", "chosen": words[0], "rejected": words[1]} if pairs else one))
            file.write("\n")
    return path


def model(folder, family, **change):
    make, targets, pooling = FAMILIES[family]
    path = make(folder / family)
    known = {"params": 10_000, "layers": 2, "hidden": 32, "lora_targets": targets, "pooling": pooling}
    return Model(name=family, source=LocalSource(path=str(path)), **(known | change))


def ran(folder, weak, strong, finetune, *, pairs=False, **change):
    """A cell that ran, in a store that has its sweep's record under the name `mine`."""
    rows = Dataset(
        name="own", task="preference" if pairs else "sst2", max_tokens=24,
        source=LocalSource(path=str(texts(folder / "rows.jsonl", pairs))),
    )  # fmt: skip
    made = cell(dataset=rows, weak=weak, strong=strong, finetune=finetune, **change)
    once = Once(folder, made, keep_weights=True).ran()
    stages = {
        key: {"label": s.label, "kind": s.kind, "role": s.hints.role, "inputs": dict(s.inputs)}
        for key, s in once.graph.stages.items()
    }
    sources = [
        {"source": plain(one.source), "kind": "model", "identity": identify(one.source, "model")}
        for one in (weak, strong)
    ]
    roles = keys_by_role(once.graph.roles[0])
    record = {"name": "mine", "command": [], "settings": {}, "stages": stages, "sources": sources}
    record["cells"] = [{"overrides": [], "cell": plain(made), "roles": roles}]
    write_json(once.store.sweep("mine") / "sweep.json", record)
    return once


def examples(once):
    import pyarrow.parquet as pq

    data = next(stage.key for stage in once.graph.stages.values() if stage.kind == "data")
    return {row["id"]: row for row in pq.read_table(once.store.path(data) / "examples.parquet").to_pylist()}


def loaded(folder):
    """`logits` of the code block of a README, run as it stands."""
    card = (folder / "README.md").read_text()
    space = {}
    exec(re.search(r"```python\n(.*?)```", card, re.DOTALL)[1], space)
    return space["logits"], card


def stored(once, role):
    rows, found = examples(once), once.predictions(role).on("test")
    return [rows[name] for name in found.ids], found


PAIRS = (("gpt2", "llama"), ("bert", "qwen2"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("families", "how"),
    [(PAIRS[0], "full"), (PAIRS[0], "lora"), (PAIRS[0], "probe"), (PAIRS[1], "full"), (PAIRS[1], "dora"),
     (PAIRS[1], "probe")],
)  # fmt: skip
def test_what_is_exported_predicts_what_was_stored(tmp_path, families, how):
    weak, strong = (model(tmp_path, family) for family in families)
    once = ran(tmp_path, weak, strong, HOW[how])
    for role in ("weak", "student"):
        rows, found = stored(once, role)
        for whole in (False, True) if how != "full" and role == "student" else (False,):
            folder = tmp_path / f"{role}-{whole}"
            export_model(once.store, f"mine/0:{role}", folder, whole=whole)
            logits, card = loaded(folder)
            np.testing.assert_allclose(logits([row["text"] for row in rows]).numpy(), found.logits, atol=1e-5)
            assert getattr(once.graph.roles[0], role) in card
            assert f"{role} of cell 0 of sweep mine" in card
    if how == "lora":
        config = json.loads((tmp_path / "student-False" / "adapter_config.json").read_text())
        assert (config["task_type"], config["modules_to_save"]) == ("SEQ_CLS", ["score"])


@pytest.mark.slow
def test_a_bias_is_folded_into_the_norm_of_a_gpt2_which_then_loads_as_it_is(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    gpt2 = model(tmp_path, "gpt2")
    other = dataclasses.replace(gpt2, name="short", keep_layers=1)
    once = ran(tmp_path, other, gpt2, HOW["full"])
    rows, found = stored(once, "student")
    weights = load_file(once.store.path(once.graph.roles[0].student) / "weights.safetensors")
    assert weights["head.bias"].abs().max() > 0
    export_model(once.store, once.graph.roles[0].student[:9], tmp_path / "out")
    assert not (tmp_path / "out" / "head.safetensors").exists()
    plain_model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / "out")(
        [row["text"] for row in rows], padding=True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        np.testing.assert_allclose(plain_model(**batch).logits.numpy(), found.logits, atol=1e-5)
    export_model(once.store, "mine/0:weak", tmp_path / "short")
    assert plain_model.config.num_hidden_layers == 2
    assert json.loads((tmp_path / "short" / "config.json").read_text())["n_layer"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "probe"])
def test_rewards_of_pairs_are_exported_and_predicted(tmp_path, how):
    once = ran(tmp_path, model(tmp_path, "gpt2"), model(tmp_path, "llama"), HOW[how], pairs=True)
    rows, found = stored(once, "student")
    export_model(once.store, "mine/0", tmp_path / "out")
    logits, card = loaded(tmp_path / "out")
    first, second = (logits([row[name] for row in rows]).numpy() for name in ("text", "text_other"))
    np.testing.assert_allclose(np.concatenate([second, first], 1), found.logits, atol=1e-5)
    assert "sigmoid(r1 - r2)" in card
    predicted(tmp_path, once, rows, found)


def predicted(folder, once, rows, found):
    """`w2s predict` gives what was stored."""
    asked = folder / "asked.jsonl"
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict_file(once.store, "mine/0", asked, folder / "told.jsonl")
    told = [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]
    assert [row["id"] for row in told] == found.ids.tolist()
    np.testing.assert_allclose([row["probability"] for row in told], found.probs, atol=1e-6)
    assert [row["predicted"] for row in told] == found.probs.argmax(1).tolist()


@pytest.mark.slow
def test_new_texts_are_labelled_as_the_stage_labelled_its_own_and_supervise(tmp_path, capsys):
    from w2s_sweep.config.supervisor import LabelColumns
    from w2s_sweep.data.labels_file import read_said

    once = ran(tmp_path, model(tmp_path, "gpt2"), model(tmp_path, "llama"), HOW["lora"])
    rows, found = stored(once, "student")
    predicted(tmp_path, once, rows, found)
    said = read_said(tmp_path / "told.jsonl", LabelColumns())
    np.testing.assert_allclose(said.probs, found.probs, atol=1e-6)
    store = f"--store={once.store.root}"
    for ending in ("csv", "parquet"):
        out = tmp_path / f"told.{ending}"
        assert main([store, "predict", "mine/0", str(tmp_path / "asked.jsonl"), "--out", str(out)]) == 0
        np.testing.assert_allclose(read_said(out, LabelColumns()).probs, said.probs, atol=1e-6)
    assert "16 predictions by student gpt2 → llama" in capsys.readouterr().out
    for argv, told in (
        (["predict", "mine/0", str(tmp_path / "asked.jsonl"), "--out", "x.txt"], "no known ending"),
        (
            ["predict", "mine/0", str(tmp_path / "asked.jsonl"), "--out", "x.csv", "--text", "tex"],
            "Columns found: text",
        ),
        (["predict", "mine/7", "x", "--out", "x.csv"], "Allowed: 0 to 0"),
        (["export-model", "mine/0:best", str(tmp_path / "o")], "Allowed: ceiling, student, weak"),
        (["export-model", "mine/0", str(tmp_path)], "is there already"),
    ):
        assert main([store, *argv]) == 1
        assert told in capsys.readouterr().err


def test_weights_that_were_not_kept_are_told_with_what_to_do(tmp_path):
    llama = model(tmp_path, "llama")
    once = ran(tmp_path, llama, dataclasses.replace(llama, name="short", keep_layers=1), HOW["full"])
    folder = once.store.path(once.graph.roles[0].student)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["weights.safetensors"]
    write_json(folder / "manifest.json", manifest)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(StoreError, match=f"keep_weights=true.*delete {folder}"):
        export_model(once.store, "mine/0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_picked_ceiling_is_the_member_and_labels_are_no_model(tmp_path):
    llama = model(tmp_path, "llama")
    weak = dataclasses.replace(llama, name="short", keep_layers=1)
    once = ran(tmp_path, weak, llama, HOW["probe"], ceiling=Ceiling(lr=(1e-3, 1e-2)))
    rows, found = stored(once, "ceiling")
    export_model(once.store, "mine/0:ceiling", tmp_path / "out")
    logits, _ = loaded(tmp_path / "out")
    np.testing.assert_allclose(logits([row["text"] for row in rows]).numpy(), found.logits, atol=1e-5)
    data = next(stage.key for stage in once.graph.stages.values() if stage.kind == "data")
    with pytest.raises(StoreError, match="of kind data, which holds no classifier"):
        export_model(once.store, data, tmp_path / "no")
