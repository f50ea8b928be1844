"""Packed batches: the states, read-outs and gradients of padded ones, whatever a family's attention does."""

import copy

import pytest
import torch
import transformers as tf
from torch import nn

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.data.batches import Texts, pack, pad
from w2s_sweep.models.backbone import Backbone, first_position
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.packed import NAME, attend, attend_at_once, enable_packing, packed_states, varlen_attn

VOCABULARY = 100
SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
SPECIAL = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
GROUPED = SIZE | SPECIAL | {"num_key_value_heads": 2}
GPT2_SIZE = SPECIAL | {"n_embd": 32, "n_layer": 2, "n_head": 4}
PACKED = {
    "llama": tf.LlamaConfig(**GROUPED),
    "qwen2": tf.Qwen2Config(**GROUPED),
    "qwen3": tf.Qwen3Config(**GROUPED, head_dim=8),
    "gemma3": tf.Gemma3TextConfig(
        **GROUPED, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"]
    ),
    "mistral": tf.MistralConfig(**GROUPED, sliding_window=5),
    "phi3": tf.Phi3Config(**GROUPED),
    "olmo2": tf.Olmo2Config(**SIZE, **SPECIAL),
    "mixtral": tf.MixtralConfig(**GROUPED, num_local_experts=4),
    "gpt2": tf.GPT2Config(**GPT2_SIZE),
    "gpt_neox": tf.GPTNeoXConfig(**SIZE, **SPECIAL),
    "gptj": tf.GPTJConfig(**GPT2_SIZE, rotary_dim=4),
    "opt": tf.OPTConfig(**SPECIAL, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
                        word_embed_proj_dim=32),
    "falcon": tf.FalconConfig(**SPECIAL, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    "bert": tf.BertConfig(**SIZE, **SPECIAL),
    "roberta": tf.RobertaConfig(**SIZE, **SPECIAL),
    "distilbert": tf.DistilBertConfig(**SPECIAL, dim=32, hidden_dim=64, n_layers=2, n_heads=4),
    "modernbert": tf.ModernBertConfig(
        **SIZE, **SPECIAL, cls_token_id=1, sep_token_id=1, global_attn_every_n_layers=2, local_attention=6
    ),
}  # fmt: skip
PADDED = {
    "bloom": tf.BloomConfig(**SPECIAL, hidden_size=32, n_layer=2, n_head=4),
    "mamba": tf.MambaConfig(**SPECIAL, hidden_size=32, num_hidden_layers=2, state_size=4),
}
TEXTS = [
    torch.randint(2, VOCABULARY, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (3, 11, 7, 1, 7)
]


def build(config: tf.PretrainedConfig) -> nn.Module:
    config = copy.deepcopy(config)
    config.use_cache = False
    for name, value in list(vars(config).items()):
        if ("dropout" in name or "pdrop" in name) and isinstance(value, float):
            setattr(config, name, 0.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = tf.AutoModel.from_config(config)
    module.pooler = None
    return module.eval()


def states_and_gradients(module: nn.Module, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The states, and the gradient of all parameters by a sum of them in which none is like another."""
    weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    module.zero_grad()
    (states * weights).sum().backward()
    return states.detach(), torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize("family", PACKED)
def test_packed_states_and_gradients_are_those_of_padded_batches(family: str):
    """Windows shorter than the texts, encoders, positions that begin at 2, experts, fewer key heads."""
    module = build(PACKED[family])
    ids, mask = pad(TEXTS, 1)
    padded = module(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]
    expected = states_and_gradients(module, padded)
    assert enable_packing(module, first_position(module), 1, ()) is not None
    found = states_and_gradients(module, packed_states(module, *pack(TEXTS), first_position(module))[0])
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-4)
    assert (found[1] - expected[1]).norm() < 1e-5 * expected[1].norm()
    # Where packing is possible, padding still is: decoding and prompts with a cache ask for it.
    assert torch.equal(module(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()], padded)


@pytest.mark.parametrize("family", PADDED)
def test_families_whose_states_would_differ_stay_padded(family: str):
    module = build(PADDED[family])
    before = module.config._attn_implementation
    assert enable_packing(module, first_position(module), 1, ()) is None
    assert module.config._attn_implementation == before


def test_a_model_that_lets_texts_see_each_other_is_found_out():
    """The check measures: here a block adds the mean over the whole row."""

    class Mixes(nn.Module):
        def forward(self, states):
            return states + states.mean(1, keepdim=True)

    module = build(PACKED["llama"])
    module.norm = nn.Sequential(Mixes(), module.norm)
    assert enable_packing(module, 0, 1, ()) is None
    assert module.config._attn_implementation == "sdpa"


def test_a_model_that_refuses_packed_batches_is_padded():
    module = build(PACKED["llama"])
    plain = module.norm.forward

    def refuse(states):
        if len(states) == 1:
            raise ValueError("one row")
        return plain(states)

    module.norm.forward = refuse
    assert enable_packing(module, 0, 1, (ValueError,)) is None


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 4])
def test_attention_is_within_each_text(causal: bool, window: int | None):
    draw = torch.Generator().manual_seed(0)
    lengths = (6, 6, 2, 9)
    query, key, value = (torch.randn(23, heads, 8, generator=draw) for heads in (4, 2, 2))
    _, _, texts = pack([[0] * n for n in lengths])
    found = attend(query, key, value, texts, causal=causal, window=window, scale=0.5)
    text = torch.arange(4).repeat_interleave(torch.tensor(lengths))
    back = torch.arange(23)[:, None] - torch.arange(23)
    seen = (text[:, None] == text) & ((back >= 0) if causal else torch.tensor(True))
    if window:
        seen &= back.abs() < window
    scores = torch.einsum("qhd,khd->hqk", query, key.repeat_interleave(2, 1)) * 0.5
    probs = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    expected = torch.einsum("hqk,khd->qhd", probs, value.repeat_interleave(2, 1))
    torch.testing.assert_close(found, expected)


BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox, "bert": tiny_bert}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backbone]:
    return {name: load_backbone(make(tmp_path_factory.mktemp(name))) for name, make in BUILDERS.items()}


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("name", BUILDERS)
def test_a_classifier_reads_packed_texts(backbones: dict[str, Backbone], name: str, pooling):
    backbone = backbones[name]
    assert backbone.packs
    assert backbone.module.config._attn_implementation == NAME
    model = Classifier(backbone, pooling=pooling)
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    tokens = backbone.tokens(sentences(9), 16)
    ids, mask, texts = pack(tokens)
    torch.testing.assert_close(
        model(ids, mask, texts=texts), model(*pad(tokens, backbone.pad_id)), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["llama", "gpt2", "neox"])
def test_likelihoods_of_packed_texts(backbones: dict[str, Backbone], name: str):
    """Also of a text of one token, of marked tokens, and with adapters."""
    backbone = backbones[name]
    model = LanguageModel(backbone)
    tokens = [[5], *backbone.tokens(sentences(6), 16), [7]]
    batch = backbone.collator().batch(tokens)
    assert batch.texts is not None
    found = model(batch.ids, batch.mask, texts=batch.texts)
    torch.testing.assert_close(found, model(*pad(tokens, 0)), atol=1e-5, rtol=1e-4)
    assert found[0] == found[-1] == 0
    starts = [min(2, len(ids)) for ids in tokens]
    wanted = backbone.collator().from_starts(starts, batch)
    ids, mask = pad(tokens, 0)
    expected = model(ids, mask, mask * (torch.arange(ids.shape[1]) >= torch.tensor(starts)[:, None]))
    torch.testing.assert_close(model(batch.ids, batch.mask, wanted, texts=batch.texts), expected, atol=1e-5, rtol=1e-4)


def test_adapters_work_on_packed_texts(tmp_path):
    model = Classifier(load_backbone(tiny_llama(tmp_path)))
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    add_lora(model, rank=2, alpha=4, targets=["q_proj", "down_proj"], seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    ids, mask, texts = pack(TEXTS)
    torch.testing.assert_close(model(ids, mask, texts=texts), model(*pad(TEXTS, 2)), atol=1e-5, rtol=1e-4)


def test_the_collator_counts_padding(backbones: dict[str, Backbone]):
    collator = backbones["llama"].collator()
    assert collator.summary() == {"batches": "packed", "padding": None}
    collator.batch([[1, 2, 3], [4]])
    assert collator.summary() == {"batches": "packed", "padding": 0.0}
    collator.batch([[1, 2, 3], [4]], padded=True)
    assert collator.summary() == {"batches": "padded", "padding": pytest.approx(0.2)}


@pytest.mark.skipif(varlen_attn is None, reason="this release of torch has no kernel for packed texts")
@pytest.mark.parametrize("window", [None, 3])
def test_the_kernel_of_gpus_is_called_as_it_wants_to_be(window: int | None):
    """On the device "meta" nothing is computed: shapes, dtypes and arguments are checked, and the way backwards."""
    texts = Texts((5, 3), torch.empty(3, dtype=torch.int32, device="meta"), torch.empty(1, 8, device="meta").long())
    query, key, value = (
        torch.empty(8, heads, 64, dtype=torch.bfloat16, device="meta", requires_grad=True) for heads in (4, 2, 2)
    )
    found = attend_at_once(query, key, value, texts, causal=True, window=window, scale=0.5)
    assert (found.shape, found.dtype) == (query.shape, torch.bfloat16)
    found.sum().backward()
    assert key.grad is not None
    assert key.grad.shape == key.shape
