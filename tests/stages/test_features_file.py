"""Frozen vectors of two encoders in files: probes on them are supervisor, student and ceiling; no model is opened.

As in the paper's vision setting (Burns et al. 2023, appendix), with made-up images of three classes.
"""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from tests.once import Once
from tests.setups import cell, model
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.own_model import with_own_models
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.config.model import Adapt
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import StoreError
from w2s_sweep.export.trained import find_trained
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.store.files import read_json

CLASSES = ("cat", "dog", "owl")


def write_images(folder, count=600):
    """Names and classes of made-up images, and what encoders see of them, each with its own noise."""
    rng = np.random.default_rng(0)
    names, labels = [f"{i:04d}.png" for i in range(count)], rng.integers(0, 3, count)
    rows = [{"text": name, "label": CLASSES[label]} for name, label in zip(names, labels, strict=True)]
    (folder / "images.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, width, noise in (("weak", 8, 1.6), ("strong", 16, 0.7), ("judge", 8, 1.6)):
        vectors = rng.normal(size=(3, width))[labels] + noise * rng.normal(size=(count, width))
        np.savez(folder / f"{name}.npz", text=np.array(names), vector=vectors.astype(np.float32))


def of_file(name, folder):
    path = folder / f"{name}.npz"
    return replace(model(name), features=str(path), source=LocalSource(path=str(path)), label_words=None)


def images(folder):
    source = LocalSource(path=str(folder / "images.jsonl"))
    return Dataset(name="images", task="text_label", labels=CLASSES, source=source, validation=0.2)


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vision")
    write_images(folder)
    probe = Probe(epochs=5)
    one = cell(dataset=images(folder), weak=of_file("weak", folder), strong=of_file("strong", folder), finetune=probe)
    assert not problems_of(one)
    return folder, one, Once(folder, one).ran()


def test_the_student_is_between_its_supervisor_and_the_ceiling(vision):
    found = {}
    for role in ("weak", "student", "ceiling"):
        said = vision[2].predictions(role).on("test")
        found[role] = float((said.probs.argmax(1) == said.truth).mean())
    assert found["weak"] + 0.03 < found["student"] <= found["ceiling"]
    assert vision[2].predictions("student").probs.shape[1] == 3


def test_probes_read_the_vectors_of_the_file_in_the_order_of_the_examples(vision):
    folder, _, once = vision
    made = [stage for stage in once.graph.stages.values() if stage.kind == "features_file"]
    assert len(made) == 2
    for stage in made:
        with np.load(folder / f"{stage.hints.of_model.name}.npz") as file:
            known = dict(zip(file["text"].tolist(), file["vector"], strict=True))
        stored = load_file(once.store.path(stage.key) / "features.safetensors")["features"]
        texts = once.context("probe").input("data") / "examples.parquet"
        expected = np.stack([known[text] for text in pq.read_table(texts)["text"].to_pylist()])
        np.testing.assert_array_equal(stored, expected)
        assert read_json(once.store.path(stage.key) / "summary.json")["found by"] == "text"
    assert {one.kind for stage in once.graph.stages.values() for one in stage.settings.opens(stage.hints)} == {
        "dataset"
    }


def test_the_content_of_a_file_is_in_the_key_and_its_path_is_not(vision, tmp_path):
    folder, one, once = vision
    (tmp_path / "moved.npz").write_bytes((folder / "weak.npz").read_bytes())
    moved = replace(one.weak, source=LocalSource(path=str(tmp_path / "moved.npz")))
    assert Once(tmp_path, replace(one, weak=moved)).graph.roles == once.graph.roles
    np.savez(tmp_path / "moved.npz", text=np.array(["a"]), vector=np.zeros((1, 2)))
    assert Once(tmp_path, replace(one, weak=moved)).graph.roles != once.graph.roles


def test_a_probe_on_a_file_is_not_exported_as_a_model_of_texts(vision):
    once = vision[2]
    with pytest.raises(StoreError, match="probe on a file of vectors"):
        assert find_trained(once.store, once.graph.roles[0].student).features


def test_what_has_no_model_is_refused(vision):
    def problems(**change):
        return " ".join(problems_of(replace(vision[1], **change)))

    assert "Set finetune=probe" in problems(finetune=Lora())
    assert "asks or trains the strong model" in problems(method=Prompting())
    assert "adapt of weak: is set" in problems(weak=replace(vision[1].weak, adapt=Adapt()))


def test_the_command_line_needs_no_more_than_the_files(tmp_path):
    weak = {"name": "minilm-l6", "params": 22713216, "layers": 6, "hidden": 384, "features": str(tmp_path / "alex.npz")}
    (found,) = with_own_models([{"weak": weak}], [[f"weak.features={tmp_path / 'alex.npz'}", "weak.params=7"]])
    assert (found["weak"]["name"], found["weak"]["params"], found["weak"]["layers"]) == ("alex", 22713216, 1)
