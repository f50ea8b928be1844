"""Every family of docs/MODELS.md: full, LoRA and probe train, are exported and load with transformers and PEFT."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tests.export.test_export_model import examples, loaded, texts
from tests.models.families import ENCODERS, FAMILIES, write_family
from tests.once import Once
from tests.setups import cell
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import SourceError, W2SError
from w2s_sweep.export.model import export_model
from w2s_sweep.models.language import unembedding_matrix
from w2s_sweep.models.load import load_backbone
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.sources import identify
from w2s_sweep.sources.model_facts import read_facts
from w2s_sweep.store.files import read_json, write_json

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it
TUNED = {"lr": 3e-3, "epochs": 1, "batch_size": 8, "precision": "fp32"}
WAYS = {
    "full": Full(**TUNED),
    "LoRA": Lora(**TUNED, rank=2),
    "all-linear, DoRA": Lora(**TUNED, rank=2, targets="all-linear", dora=True),
    "probe": Probe(epochs=3, precision="fp32"),
}
DORA = ("gpt2", "phi3", "bert", "mamba", "deepseek_v3")
"""Families whose third form is exported too: Conv1D, one matrix for three, an encoder, no attention, latent vectors."""
PAGE = Path(__file__).parents[2] / "docs" / "MODELS.md"


class Family:
    """The stages of one model that train on the truth of half A, and what a sweep would have recorded of them."""

    def __init__(self, name: str, folder: Path):
        path = write_family(name, folder / name)
        facts = read_facts(path)
        made = Model(
            name=name, source=LocalSource(path=str(path)), params=facts.params, layers=facts.layers,
            hidden=facts.hidden, lora_targets=facts.lora_targets, pooling="mean" if facts.is_encoder else "last",
        )  # fmt: skip
        source = LocalSource(path=str(texts(folder / "rows.jsonl", False, rows=72)))
        rows = Dataset(name="own", task="sst2", max_tokens=24, source=source, validation=0.1)
        self.path, self.facts = path, facts
        self.cells = {way: cell(dataset=rows, weak=made, strong=made, finetune=how) for way, how in WAYS.items()}
        self.once = Once(folder, self.cells["full"], keep_weights=True)
        self.once.graph = merge(list(self.cells.values()), identify)
        self.keys = dict(zip(WAYS, (roles.weak for roles in self.once.graph.roles), strict=True))
        record = {"name": "mine", "command": [], "settings": {}, "stages": {}, "cells": []}
        record["sources"] = [
            {"source": plain(made.source), "kind": "model", "identity": identify(made.source, "model")}
        ]
        write_json(self.once.store.sweep("mine") / "sweep.json", record)

    def run(self) -> dict[str, str]:
        """Way -> `yes`, or why not."""
        wanted = {*self.keys.values()}
        stages = [s for s in self.once.graph.stages.values() if s.kind in ("data", "features") or s.key in wanted]
        outcomes = run_pack(Pack(self.once.store, stages, self.once.settings), lambda: False)
        return {way: "yes" if outcomes[key] == "done" else self.failure(stages) for way, key in self.keys.items()}

    def failure(self, stages) -> str:
        found = [read_json(self.once.store.work(stage.key) / "failure.json") for stage in stages]
        return next(one["text"] for one in found if one)

    def stored(self, way: str) -> set[str]:
        """Names of the weights of the transformer that a stage trained."""
        with safe_open(self.once.store.path(self.keys[way]) / "weights.safetensors", "np") as file:
            return {name.removeprefix("transformer.") for name in file.keys() if name.startswith("transformer.")}  # noqa: SIM118

    def check_export(self, way: str, folder: Path) -> None:
        """What loads with transformers and PEFT alone says what the stage said."""
        from w2s_sweep.predictions import read_predictions

        export_model(self.once.store, self.keys[way], folder)
        found = read_predictions(self.once.store.path(self.keys[way]) / "predictions.parquet").on("test")
        rows = examples(self.once)
        logits = loaded(folder)[0]([rows[name]["text"] for name in found.ids]).numpy()
        np.testing.assert_allclose(logits, found.logits, atol=1e-5)


def line(family: Family, name: str, ways: dict[str, str]) -> str:
    """A row of the table."""
    backbone = load_backbone(family.path)
    try:
        unembedding_matrix(backbone)
        words = "yes"
    except W2SError as error:
        words = "no: an encoder" if "encoder" in str(error) else "no: scaled logits"
    batches = "packed" if backbone.packs else "padded"
    targets = ", ".join(family.facts.lora_targets)
    probe = "yes" if ways["probe"] == "yes" else "no: no list of blocks"
    return f"| {name} | {batches} | yes | {targets} | yes | {probe} | {words} |"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "t5"])
def test_a_family_is_as_the_table_says(name: str, tmp_path: Path) -> None:
    family = Family(name, tmp_path)
    ways = family.run()
    assert {way for way, said in ways.items() if said != "yes"} <= ({"probe"} if name == "albert" else set()), ways
    module = load_backbone(family.path).module
    assert family.facts.params == pytest.approx(sum(p.numel() for p in module.parameters()), rel=1e-3)
    assert family.facts.is_encoder == (name in ENCODERS)
    assert family.stored("full") == {parameter for parameter, _ in module.named_parameters()}
    adapted = {one.partition(".lora_")[0].rpartition(".")[2] for one in family.stored("LoRA")}
    assert adapted == set(family.facts.lora_targets)
    for way, said in ways.items():
        if said == "yes" and (way in ("full", "LoRA", "probe") or name in DORA):
            family.check_export(way, tmp_path / f"export {way}")
    assert line(family, name, ways) in PAGE.read_text().splitlines()


def test_an_encoder_decoder_is_told_at_once(tmp_path: Path) -> None:
    folder = write_family("t5", tmp_path / "t5")
    with pytest.raises(SourceError, match=r"is an encoder-decoder \(t5\). Give a decoder, such as Llama, or an enc"):
        identify(LocalSource(path=str(folder)), "model")


def test_the_page_has_every_family() -> None:
    rows = re.findall(r"^\| ([\w-]+) \| (?:packed|padded)", PAGE.read_text(), re.MULTILINE)
    assert sorted([*rows, "t5"]) == sorted(FAMILIES)
