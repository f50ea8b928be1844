"""The forms of LoRA: all linear modules and magnitudes (DoRA) train as PEFT trains them, and merge exactly."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel

from tests.kinds.test_memory import FAMILIES, Held, kept, shape_of
from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, trainable_state
from w2s_sweep.data.batches import pad
from w2s_sweep.kinds.memory import training
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.adapted import add_products
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.training.loop import Recipe, train

BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "bert": tiny_bert}
EVERYWHERE = ("all-linear",)
LABELS = torch.eye(2)[torch.arange(8) % 2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


def ours(folder, dora, steps):
    """A classifier whose head begins with numbers of its own, after so many steps."""
    model = Classifier(load_backbone(folder))
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    add_lora(model, rank=4, alpha=8.0, targets=EVERYWHERE, seed=3, dora=dora)
    learner = TextLearner(model, model.backbone.tokens(sentences(8), 16), "fp32", 1000)
    train(learner, range(8), LABELS, CrossEntropy(), Recipe(batch_size=8, epochs=steps, lr=1e-2, seed=0))
    learner.mode(training=False)
    return model


def read(model):
    return pad(model.backbone.tokens(sentences(8), 16), model.backbone.pad_id)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT reads it
@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_three_steps_are_those_of_peft(folders, name, dora):
    model = ours(folders[name], dora, steps=3)
    ids, mask = read(model)
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", use_dora=dora, fan_in_fan_out=name == "gpt2")
    theirs = get_peft_model(AutoModel.from_pretrained(folders[name]), config)
    head = torch.nn.Linear(32, 2)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.zeros_(head.bias)
    weights = [*(p for p in theirs.parameters() if p.requires_grad), *head.parameters()]
    optimizer, last = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.0), mask.sum(1) - 1

    def logits():
        return head(theirs(input_ids=ids, attention_mask=mask).last_hidden_state[torch.arange(8), last])

    before = logits().detach()
    recipe = Recipe(batch_size=8, epochs=3, lr=1e-2, seed=0)
    for step in range(3):
        optimizer.param_groups[0]["lr"] = recipe.lr_at(step, 3)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits(), LABELS).backward()
        optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask), logits(), atol=1e-5, rtol=0)
        assert (logits() - before).abs().max() > 1e-2


@pytest.mark.parametrize("name", BUILDERS)
def test_magnitudes_are_merged_into_weights(folders, name):
    model, plain = ours(folders[name], True, steps=3), Classifier(load_backbone(folders[name]))
    state = {k.removeprefix("transformer."): v for k, v in trainable_state(model).items() if "lora" in k}
    plain.head = model.head
    with torch.no_grad():
        add_products(plain.transformer, state, 8.0 / 4)
        torch.testing.assert_close(plain(*read(model)), model(*read(model)), atol=1e-5, rtol=0)


def made(family, layers, targets, dora):
    cls, sizes, _ = FAMILIES[family]
    config = cls(**sizes, **{"n_layer" if family == "gpt2" else "num_hidden_layers": layers}, use_cache=False)
    transformer = AutoModel.from_config(config, attn_implementation="sdpa").eval()
    torch.nn.Module.to(transformer, torch.bfloat16)
    add_lora(Held(transformer), rank=4, alpha=16, targets=targets, seed=0, dora=dora)
    return transformer, config


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_their_memory_is_planned(family, dora):
    """Weights of a block to the number; activations to 8 %, of which a pass has parts that do not grow with tokens."""
    (small, _), (large, config) = made(family, 1, EVERYWHERE, dora), made(family, 3, EVERYWHERE, dora)
    shape = shape_of(config, 3)
    need = training(shape, "bf16", 1, adapters=(4, EVERYWHERE), stopping=False, dora=dora)
    trained = sum(p.numel() for p in large.parameters() if p.requires_grad)
    assert trained == 3 * (4 * shape.adapter_size(EVERYWHERE) + (shape.outputs(EVERYWHERE) if dora else 0))
    measured = (kept(large, "bf16", tokens=150) - kept(small, "bf16", tokens=150)) / 2
    assert (need.token - 2 * shape.hidden) / 3 == pytest.approx(measured, rel=0.08)
