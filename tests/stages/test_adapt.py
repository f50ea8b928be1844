"""An adapted model is another model: one stage that all stages of the model read, without labels and test texts."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from tests.again import stopped_and_resumed
from tests.command import launch, sweep_record
from tests.setups import cell, identify, model
from tests.tiny import sentences, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.config.model import Adapt
from w2s_sweep.data.batches import pad
from w2s_sweep.export.network import base_backbone
from w2s_sweep.kinds.base import OfModel
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.strong_to_strong import StrongToStrong
from w2s_sweep.models.adapted import load_adapted, save_adapted
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable
from w2s_sweep.plan.packs import affinity, make_packs
from w2s_sweep.runner import process_cache
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.training.examples import load_corpus

ADAPTED = dataclasses.replace(model("s0"), adapt=Adapt())


def graph_of(*cells):
    return merge(cells, identify)


def adapting(graph):
    return [stage for stage in graph.stages.values() if stage.kind == "adapt"]


@pytest.mark.parametrize("finetune", [Probe(), Full()], ids=["probe", "full"])
def test_the_generative_method_adapts_the_strong_model_once_for_student_and_ceiling(finetune):
    graph = graph_of(cell(method=Generative(), finetune=finetune))
    (stage,) = adapting(graph)
    readers = [s for s in graph.stages.values() if s.inputs.get("adapted") == stage.key]
    assert {s.hints.model.name for s in readers} == {"s0"}
    assert {s.kind for s in readers} == ({"features"} if isinstance(finetune, Probe) else {"finetune"})
    naive = graph_of(cell(finetune=finetune))
    assert graph.roles[0].weak == naive.roles[0].weak
    assert {graph.roles[0].student, graph.roles[0].ceiling}.isdisjoint(naive.stages)


def test_it_is_the_naive_method_with_an_adapted_strong_model():
    composed = cell(method=Naive())
    composed = dataclasses.replace(composed, strong=ADAPTED)
    assert graph_of(composed).roles == graph_of(cell(method=Generative())).roles
    (problem,) = problems_of(dataclasses.replace(composed, method=Generative()))
    assert problem.startswith("strong.adapt: is set for s0")


@pytest.mark.parametrize("method", [KnnRelabel(), Prompting()], ids=["knn_relabel", "prompting"])
def test_whatever_opens_the_weights_of_an_adapted_model_reads_them(method):
    graph = graph_of(dataclasses.replace(cell(method=method), strong=ADAPTED))
    (stage,) = adapting(graph)
    opening = [s for s in graph.stages.values() if isinstance(s.settings, OfModel) and s.hints.model.name == "s0"]
    assert {s.kind for s in opening} > {"adapt", "finetune"}
    assert all(s.inputs.get("adapted") == stage.key for s in opening if s is not stage)


def test_nothing_of_an_unadapted_cell_knows_of_adaptation():
    for method in (Naive(), KnnRelabel(), StrongToStrong()):
        graph = graph_of(cell(method=method, finetune=Probe()))
        assert not [s for s in graph.stages.values() if "adapt" in str(s.preimage)]
        assert not [s for s in graph.stages.values() if s.hints.adapted]


@pytest.mark.parametrize(
    "change", [{"epochs": 2}, {"lr": 1e-3}, {"batch_size": 8}, {"rank": 4}, {"seed": 1}], ids=lambda c: next(iter(c))
)
def test_every_setting_of_adaptation_enters_the_key(change):
    other = Generative(adapt=Adapt(**change))
    assert adapting(graph_of(cell(method=other)))[0].key != adapting(graph_of(cell(method=Generative())))[0].key


def test_the_scale_of_adapters_is_a_setting_only_where_there_are_any():
    def key(**change):
        return adapting(graph_of(cell(method=Generative(adapt=Adapt(**change)))))[0].key

    assert key(alpha=4.0) == key()
    assert key(alpha=4.0, rank=4) != key(rank=4)


def test_seeds_share_an_adapted_model_unless_they_deal_the_test_set():
    own = dataclasses.replace(cell().dataset, test_split="test")
    dealt = [cell(method=Generative(), seed=seed) for seed in (0, 1)]
    assert len(adapting(graph_of(*dealt))) == 2
    shared = [cell(method=Generative(), seed=seed, dataset=own) for seed in (0, 1)]
    assert len(adapting(graph_of(*shared))) == 1


@pytest.mark.parametrize("flops", [1e30, 1.0])
def test_packs_with_adapted_models_never_wait_for_a_later_one(flops):
    methods = (Naive(), KnnRelabel(), StrongToStrong())
    cells = [
        dataclasses.replace(cell(method=method, finetune=finetune), strong=strong)
        for method in methods
        for finetune in (Probe(), Full())
        for strong in (model("s0"), ADAPTED)
    ]
    graph = graph_of(*cells)
    before: set[str] = set()
    for pack in make_packs(graph, graph.stages, flops):
        assert pack.waits_for <= before
        assert len({affinity(stage) for stage in pack.stages}) == 1
        before.update(pack.keys)
    assert before == set(graph.stages)
    homes = {affinity(s) for s in graph.stages.values() if s.hints.adapted}
    assert len(homes) == 1
    assert homes.isdisjoint({affinity(s) for s in graph.stages.values() if not s.hints.adapted})


def test_the_corpus_has_no_test_text_and_both_texts_of_a_pair(tmp_path):
    rows = {"id": [*"abcd"], "text": [*"1234"], "text_other": [*"5678"], "label": pa.array([0, 1, 0, 1], pa.int8()),
            "group": [*"abcd"], "origin": ["train", "test", "train", "test"]}  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "examples.parquet")
    assert load_corpus(tmp_path, None) == ([*"1357"], [*"2468"])


TARGETS = {"llama": ("q_proj", "v_proj"), "gpt2": ("c_attn",), "neox": ("query_key_value",)}
BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("scale", [None, 2.0], ids=["all weights", "adapters"])
def test_a_saved_adaptation_gives_the_same_model_back(tmp_path, name, scale):
    folder = BUILDERS[name](tmp_path / "model")
    language = LanguageModel(load_backbone(folder))
    if scale is not None:
        add_lora(language, rank=4, alpha=8.0, targets=TARGETS[name], seed=0)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(0)
        for parameter in trainable(language).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    save_adapted(language, tmp_path, scale)
    again = LanguageModel(load_adapted(load_backbone(folder), tmp_path))
    ids, mask = pad(again.backbone.tokens(sentences(6), 16), again.backbone.pad_id)
    with torch.no_grad():
        expected, found = language(ids, mask, mask), again(ids, mask, mask)
        published = LanguageModel(load_backbone(folder))(ids, mask, mask)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - published).abs().min() > 1e-3
    torch.testing.assert_close(again.backbone.unembedding([3, 5]), language.unembedding[[3, 5]].detach())


@pytest.mark.parametrize("scale", [None, 2.0], ids=["all weights", "adapters"])
def test_stage_and_export_round_an_adapted_model_once_and_no_frequencies(tmp_path, scale):
    folder = tiny_llama(tmp_path / "model")
    language = LanguageModel(load_backbone(folder))
    if scale is not None:
        add_lora(language, rank=4, alpha=8.0, targets=("q_proj", "v_proj"), seed=0)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(0)
        for parameter in trainable(language).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    save_adapted(language, tmp_path, scale)
    exact = load_adapted(load_backbone(folder), tmp_path).module
    stage = process_cache._frozen(folder, None, tmp_path, torch.bfloat16).module
    taken_out: Any = SimpleNamespace(model_folder=folder, adapted=tmp_path)
    exported = base_backbone(taken_out, None, torch.bfloat16).module
    for found in (stage, exported):
        for name, weight in found.named_parameters():
            assert torch.equal(weight, exact.get_parameter(name).to(torch.bfloat16)), name
        for name, buffer in found.named_buffers():
            assert torch.equal(buffer, exact.get_buffer(name)), name
    process_cache.forget()


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_models, tiny_task):
    """Probes on a model adapted by LoRA, and on the published one."""
    store = tmp_path_factory.mktemp("adapt") / "store"
    status, out, err = launch(
        "-m", f"store={store}", *tiny_models, *tiny_task, "strong.lora_targets=[q_proj,up_proj,down_proj]",
        "strong.adapt=null,{epochs: 3, lr: 0.02, rank: 8}",
        "finetune=probe", "finetune.epochs=3", "threads=1", "tracker=none",
    )  # fmt: skip
    assert status == 0, err
    assert "2 of 2 cells" in out
    return Store(store), sweep_record(store)["stages"]


def of_kind(stages, kind):
    return [key for key, about in stages.items() if about["kind"] == kind]


@pytest.mark.slow
def test_adaptation_makes_the_texts_likelier_and_changes_the_features(run):
    store, stages = run
    (key,) = of_kind(stages, "adapt")
    summary = read_json(store.path(key) / "summary.json")
    assert summary["nats_per_token/test_after"] < summary["nats_per_token/test_before"] - 0.2
    assert sorted(p.name for p in store.path(key).glob("*.safetensors")) == ["adapters.safetensors"]
    features = {}
    for name in of_kind(stages, "features"):
        strong = "strong" in stages[name]["label"]
        features[strong, "adapted" in stages[name]["inputs"]] = load_file(store.path(name) / "features.safetensors")
    assert set(features) == {(False, False), (True, False), (True, True)}
    before, after = (features[True, changed]["features"] for changed in (False, True))
    assert before.shape == after.shape
    assert np.abs(before - after).mean() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 9])
def test_a_stopped_adaptation_ends_bitwise_the_same(run, tmp_path, caplog, steps):
    store, stages = run
    (key,) = of_kind(stages, "adapt")
    again = stopped_and_resumed(store, key, tmp_path, steps, caplog)
    name = "adapters.safetensors"
    assert (again / name).read_bytes() == (store.path(key) / name).read_bytes()
