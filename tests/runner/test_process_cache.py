"""The stages of a pack that put adapters on one model load it once, and come to the same bits as with a model each."""

import gc
import weakref

import pytest
import torch

from tests.tiny import sentences, tiny_gpt2, tiny_llama
from w2s_sweep import sources
from w2s_sweep.cells.merge import merge
from w2s_sweep.data.batches import pad
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.grouped import twin
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store

TUNED = ["finetune=lora", "finetune.epochs=2", "finetune.batch_size=10", "finetune.lr=0.01", "finetune.dropout=0.1"]


@pytest.fixture
def loaded(monkeypatch):
    """The models that were loaded, as long as they live."""
    seen = []
    load = process_cache.load_model

    def counting(*words, **named):
        backbone = load(*words, **named)
        seen.append(weakref.ref(backbone.module))
        return backbone

    monkeypatch.setattr(process_cache, "load_model", counting)
    process_cache.forget()
    yield seen
    process_cache.forget()


@pytest.mark.slow
def test_stages_on_one_base_come_to_the_same_bits_as_each_on_its_own(tmp_path, tiny_models, tiny_task, loaded):
    words = [*tiny_models, *tiny_task, "dataset.n_train=80", *TUNED]
    cells = [composed_cell([*words, f"seed={seed}"])[0] for seed in (0, 1)]
    graph = merge(cells, sources.identify)
    stages = list(graph.stages.values())
    tuned = [stage for stage in stages if stage.kind == "finetune"]
    together, apart = Store(tmp_path / "together"), Store(tmp_path / "apart")
    for store, packs in ((together, [stages]), (apart, [[stage] for stage in stages])):
        store.prepare()
        before = len(loaded)
        for pack in packs:
            assert {*run_pack(Pack(store, pack, RunSettings(threads=1)), lambda: False).values()} == {"done"}
            if store is apart:
                process_cache.forget()
        gc.collect()
        made, alive = len(loaded) - before, sum(one() is not None for one in loaded)
        assert made == len(tuned) if store is apart else made < len(tuned)
        assert alive == (0 if store is apart else 1)  # the one before was let go of
    for stage in tuned:
        names = [path.name for path in together.path(stage.key).glob("*.safetensors")]
        assert names == ["weights.safetensors"]
        for name in (*names, "predictions.parquet"):
            assert (together.path(stage.key) / name).read_bytes() == (apart.path(stage.key) / name).read_bytes()


@pytest.mark.parametrize(("build", "target"), [(tiny_llama, "q_proj"), (tiny_gpt2, "c_attn")])
def test_a_base_stays_as_it_was_loaded_whatever_stands_on_a_twin_of_it(tmp_path, build, target):
    fresh, base = (load_backbone(build(tmp_path)) for _ in range(2))
    used = twin(base)
    model = Classifier(used)
    add_lora(model, rank=2, alpha=8.0, targets=[target], seed=0, dropout=0.3)
    checkpoint_blocks(used.blocks)
    model.train()
    ids, mask = pad(used.tokens(sentences(4), 16), used.pad_id)
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.5)
    model(ids, mask).square().mean().backward()
    optimizer.step()
    one, other = base.module, fresh.module
    assert {n: type(m) for n, m in one.named_modules()} == {n: type(m) for n, m in other.named_modules()}
    assert not any("forward" in vars(module) for module in one.modules())
    assert not any(module.training for module in one.modules())
    assert {*vars(one)} == {*vars(other)}
    own, below = dict(one.named_parameters()), {id(weight) for weight in used.module.parameters()}
    for name, weight in other.named_parameters():
        assert torch.equal(own[name], weight)
        assert own[name].grad is None
        assert id(own[name]) in below  # there once
    with torch.no_grad():
        expected = other(ids, attention_mask=mask).last_hidden_state
        assert torch.equal(one(ids, attention_mask=mask).last_hidden_state, expected)
