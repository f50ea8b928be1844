"""Stages on pairs, from a file of preferences to rewards: run in this process, stopped, resumed, refused."""

import dataclasses
import json
import random
import re

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file

from tests.command import launch, sweep_record, trained
from tests.once import Once
from tests.setups import cell
from tests.tiny import WORDS, tiny_bert, tiny_llama
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import adapter
from w2s_sweep.config.prompt import Prompt
from w2s_sweep.config.source import LocalSource
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.wspo import Wspo
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.selective import Selective
from w2s_sweep.predictions import read_predictions
from w2s_sweep.sources import identify
from w2s_sweep.store.files import read_json
from w2s_sweep.training.examples import load_ids
from w2s_sweep.training.labels import features_of

GOOD, BAD = ["good", "great", "fine", "superb"], ["bad", "poor", "dull", "awful"]
TUNED = {"lr": 3e-3, "epochs": 2, "batch_size": 8, "precision": "fp32"}
LEARNS = {"lr": 1e-2, "epochs": 4, "batch_size": 8}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Preferences that can be learned from the words of the answers."""
    draw, path = random.Random(0), tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    with path.open("w") as file:
        for i in range(96):
            answers = [" ".join(draw.choices(WORDS[:14], k=3) + draw.choices(words, k=2)) for words in (GOOD, BAD)]
            file.write(json.dumps({"prompt": f" the film {i}", "chosen": answers[0], "rejected": answers[1]}) + "\n")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [
        tiny_llama(tmp_path_factory.mktemp(name), hidden=hidden, tied=hidden == 16, seed=hidden)
        for name, hidden in (("weak", 16), ("strong", 32))
    ]


@pytest.fixture(scope="module")
def base(rows, folders):
    """A cell on pairs with tiny models, the strong one with an unembedding of its own."""

    def model(folder):
        source = LocalSource(path=str(folder))
        return Model(name=folder.name, source=source, params=10_000, layers=2, hidden=16, lora_targets=("q_proj",))

    data = Dataset(name="pairs", task="preference", source=LocalSource(path=str(rows)), max_tokens=24)
    return dataclasses.replace(cell(), dataset=data, weak=model(folders[0]), strong=model(folders[1]))


def stop_at(call):
    """A stop that comes at one of its polls and then stays."""
    polls = iter(range(10**9))
    return lambda: next(polls) >= call


@pytest.mark.slow
@pytest.mark.parametrize(
    "finetune",
    [Full(**TUNED, reward="implicit"), Lora(**TUNED, reward="implicit", early_stopping="weak", evaluations=3)],
    ids=lambda f: f.name,
)
def test_implicit_rewards_resume_bit_for_bit_wherever_they_are_stopped(tmp_path, base, finetune, caplog):
    caplog.set_level("INFO")
    one = dataclasses.replace(base, finetune=finetune)
    whole = Once(tmp_path / "whole", one, micro_batch_tokens=500).ran()
    parts = Once(tmp_path / "parts", one, micro_batch_tokens=500)
    for call in (6, 11, 14, 17):  # in the reference, between steps
        assert "preempted" in parts.run(stop_at(call)).values()
    parts.ran()
    for role in ("weak", "student", "ceiling"):
        key = getattr(whole.graph.roles[0], role) + "/predictions.parquet"
        assert whole.store.path(key).read_bytes() == parts.store.path(key).read_bytes()
    assert re.search(r"training begins after step [1-9]", caplog.text)
    assert not list(parts.store.root.glob("work/*"))


@pytest.mark.slow
def test_wspo_trains_on_the_rewards_of_the_supervisor(tmp_path, base):
    finetune = Lora(**TUNED, reward="implicit")
    once = Once(tmp_path, dataclasses.replace(base, finetune=finetune, loss=Wspo(gamma=2.0))).ran()
    weak, student = once.predictions("weak").on("half_b"), once.predictions("student").on("half_b")
    np.testing.assert_array_equal(student.ids, weak.ids)
    np.testing.assert_array_equal(student.seen, weak.logits)
    margins = [p.logits[:, 1] - p.logits[:, 0] for p in (weak, student)]
    assert np.corrcoef(*margins)[0, 1] > 0.5


@pytest.mark.parametrize(("kind", "method"), [("relabel", KnnRelabel(k=3)), ("select", OverlapSelection())])
def test_labels_from_features_see_the_difference_of_the_two_texts(tmp_path, base, kind, method):
    once = Once(tmp_path, dataclasses.replace(base, finetune=Probe(epochs=5), method=method)).ran()
    context = once.context(kind)
    ids = load_ids(context.input("data"))[::-1][:5]
    stored = load_file(context.input("features") / "features.safetensors")
    difference = (stored["features"] - stored["features_other"])[::-1][:5]
    np.testing.assert_array_equal(features_of(context, np.array(ids, dtype=object)), difference)
    assert np.abs(difference).max() > 0


@pytest.mark.slow
def test_an_encoder_has_no_implicit_reward(tmp_path, base):
    source = LocalSource(path=str(tiny_bert(tmp_path / "bert")))
    weak = dataclasses.replace(base.weak, source=source, lora_targets=("query",))
    once = Once(tmp_path, dataclasses.replace(base, weak=weak, finetune=Lora(**TUNED, reward="implicit")))
    outcomes = once.run()
    key = once.graph.roles[0].weak
    assert outcomes[key] == "failed"
    failure = read_json(once.store.work(key) / "failure.json")
    assert failure is not None
    assert "it is an encoder" in failure["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"finetune": Full(reward="implicit"), "dataset": cell().dataset}, ["single texts", "hh_rlhf", "reward=head"]),
        ({"finetune": Lora(reward="implicit", head_init="label_words")}, ["an implicit reward has no head"]),
        ({"finetune": Lora(), "loss": Wspo()}, ["wspo", "finetune.reward=implicit"]),
        ({"finetune": Probe(), "loss": Wspo()}, ["wspo", "finetune=probe"]),
    ],
)
def test_what_cannot_be_rewarded_is_refused_before_anything_starts(base, change, words):
    (problem,) = problems_of(dataclasses.replace(cell(dataset=base.dataset), **change))
    assert all(word in problem for word in words)
    allowed = cell(dataset=base.dataset, finetune=Lora(reward="implicit"), loss=Wspo(), method=Naive())
    assert problems_of(allowed) == problems_of(cell(loss=CrossEntropy())) == []


@pytest.mark.slow
@pytest.mark.parametrize("finetune", [Probe(epochs=100), Lora(**LEARNS), Full(**LEARNS)], ids=lambda f: f.name)
def test_every_kind_of_fine_tuning_learns_what_is_preferred(tmp_path, base, finetune):
    once = Once(tmp_path, dataclasses.replace(base, finetune=finetune)).ran()
    ceiling = once.predictions("ceiling")
    assert (ceiling.probs.argmax(1) == ceiling.truth).mean() > 0.8
    assert once.predictions("student").seen.shape == ceiling.seen.shape


@pytest.mark.slow
def test_pairs_go_through_the_command_line_with_every_kind_of_fine_tuning(tmp_path, rows, tiny_models):
    store = tmp_path / "store"
    status, out, err = launch(
        "-m", f"store={store}", *tiny_models, "dataset=hh_rlhf", "dataset.task=preference", f"dataset.path={rows}",
        "dataset.test_split=null", "dataset.n_train=null", "dataset.n_test=null", "dataset.max_tokens=32",
        "finetune=probe,lora,full", "++finetune.lr=0.01", "finetune.epochs=8", "threads=1", "tracker=none",
    )  # fmt: skip
    assert status == 0, err
    assert "3 of 3 cells" in out
    cells = sweep_record(store)["cells"]
    assert len(trained(store)) == 9
    for entry in cells:
        ceiling = read_predictions(store / "stages" / entry["roles"]["ceiling"] / "predictions.parquet")
        right = ceiling.probs.argmax(1) == ceiling.truth
        assert right.mean() > 0.8, entry["cell"]["finetune"]["name"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [Elicitation(), Prompting(shots=2), Icm(rows=4, start=2, steps=8), IcmFeatures(sweeps=2)],
    ids=lambda method: method.name,
)
def test_a_prompted_model_is_asked_which_of_two_texts_is_preferred(tmp_path, base, method):
    asked = Prompt(pair="first {first} second {second}", words=(" bad", " good"))
    data = dataclasses.replace(base.dataset, prompt=asked)
    once = Once(tmp_path, dataclasses.replace(base, dataset=data, finetune=Probe(epochs=2), method=method)).ran()
    labels = next(s for s in once.graph.stages.values() if s.kind in ("calibrate", "annotate"))
    said = read_predictions(once.store.path(labels.key) / "predictions.parquet")
    assert set(said.splits) >= {"validation", "test"}
    (prompt,) = once.store.stages.glob("*/prompt.txt")
    texts = prompt.read_text()
    assert "first " in texts
    assert " second " in texts
    assert set(once.predictions("student").splits) >= {"validation", "test"}


def test_another_wording_of_pairs_is_another_question_and_one_without_both_texts_is_refused(base):
    def asked(pair):
        data = dataclasses.replace(base.dataset, prompt=Prompt(pair=pair, words=(" bad", " good")))
        return dataclasses.replace(base, dataset=data, method=Elicitation())

    one, other = asked("{first} and {second}"), asked("{first} or {second}")
    keys = [{s.key for s in merge([c], identify).stages.values() if s.kind == "prompt"} for c in (one, other)]
    assert keys[0].isdisjoint(keys[1])
    assert problems_of(one) == []
    (problem,) = problems_of(dataclasses.replace(one, method=Selective()))
    assert "reward of single texts" in problem
    with pytest.raises(ValidationError, match="pattern"):
        adapter(Prompt).validate_json('{"pair": "{first} and nothing"}')
