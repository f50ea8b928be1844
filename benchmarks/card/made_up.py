"""Models of published shapes with random weights, tiny ones with files, and rows: nothing is fetched."""

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.kinds.shape import Shape, parse_shape
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.load import with_fast_passes

TARGETS = {"gpt2": ("c_attn",), "llama": ("q_proj", "v_proj"), "gpt_neox": ("query_key_value",)}


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each byte, and an end of text."""
    alphabet = ["<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def tiny_configs() -> dict[str, PretrainedConfig]:
    """Rotary and learned positions, tied and untied; heads of 64, as kernels for GPUs like them."""
    width: dict[str, Any] = {"vocab_size": 257, "eos_token_id": 0, "bos_token_id": 0, "initializer_range": 0.1}
    llama: dict[str, Any] = {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 2048,
    }
    return {
        "llama-tied": LlamaConfig(**width, **llama, num_key_value_heads=1, tie_word_embeddings=True),
        "llama-untied": LlamaConfig(**width, **llama, tie_word_embeddings=False),
        "neox-untied": GPTNeoXConfig(**width, **llama, tie_word_embeddings=False),
        "gpt2-tied": GPT2Config(**width, n_embd=128, n_layer=2, n_head=2, n_positions=2048),
    }


def write_model(folder: Path, config: PretrainedConfig) -> Path:
    """A folder as transformers saves it."""
    kinds: dict[str, type[PreTrainedModel]] = {
        "llama": LlamaForCausalLM,
        "gpt2": GPT2LMHeadModel,
        "gpt_neox": GPTNeoXForCausalLM,
    }
    torch.manual_seed(0)
    kinds[config.model_type](config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Scale:
    """What is measured: a model of a published shape, how it trains, on which rows."""

    name: str
    config: PretrainedConfig
    way: str
    """full or lora."""
    rows: int
    """Of an optimizer step."""
    longest: int
    """Tokens: rows have a tenth of it to all of it, evenly."""
    checkpointing: tuple[bool, ...] = (False,)

    def texts(self, steps: int) -> list[list[int]]:
        """Random tokens of so many steps."""
        draw = np.random.default_rng(0)
        count = self.rows * steps
        lengths = draw.integers(max(2, self.longest // 10), self.longest + 1, size=count)
        return [draw.integers(1, self.config.vocab_size, size=n).tolist() for n in lengths]

    @property
    def adapters(self) -> tuple[int, tuple[str, ...]] | None:
        return (8, TARGETS[self.config.model_type]) if self.way == "lora" else None


def scales(*, tiny: bool) -> list[Scale]:
    """GPT-2 and GPT-2 XL with all weights, Llama 3.1 8B with LoRA; `tiny`: the same with hardly any weights."""

    def gpt2(layers: int, width: int) -> PretrainedConfig:
        size = {"n_embd": 64, "n_layer": 2, "n_head": 1, "vocab_size": 257} if tiny else {}
        own: dict[str, Any] = {"n_embd": width, "n_layer": layers, "n_head": width // 64} | size
        return GPT2Config(**own, activation_function="gelu_pytorch_tanh", use_cache=False)

    wide: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 257}
    if not tiny:
        wide = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128256}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1} if tiny else {"num_attention_heads": 32}
    llama = LlamaConfig(**{"num_key_value_heads": 8} | wide | heads, use_cache=False, tie_word_embeddings=False)
    rows, longest = (4, 20) if tiny else (32, 400)
    return [
        Scale("gpt2 full", gpt2(12, 768), "full", rows, longest, (False, True)),
        Scale("gpt2-xl full", gpt2(48, 1600), "full", rows, longest),
        Scale("llama3.1-8b lora", llama, "lora", rows, longest, (False, True)),
    ]


def smallest_and_largest(*, tiny: bool) -> list[Scale]:
    """GPT-2 and Llama 3.1 8B."""
    return [scale for scale in scales(tiny=tiny) if scale.name != "gpt2-xl full"]


def shape_of(config: PretrainedConfig, module: PreTrainedModel) -> Shape:
    """As planning reads it from config.json."""
    params = sum(parameter.numel() for parameter in module.parameters())
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
    about = Model(name="made-up", source=LocalSource(path="made-up"), params=params, layers=layers, hidden=hidden)
    return parse_shape(json.loads(config.to_json_string()), about)


def random_backbone(config: PretrainedConfig, device: torch.device, dtype: torch.dtype) -> Backbone:
    """In memory alone: a folder of 8 billion weights would take longer than all that is measured."""
    return _backbone_of(_random(AutoModel, config, device, dtype), config)


def random_writer(config: PretrainedConfig, device: torch.device, dtype: torch.dtype) -> tuple[Backbone, Any]:
    """A backbone, and the language model of transformers that it is in, with its unembedding."""
    model = _random(AutoModelForCausalLM, config, device, dtype)
    head = None if config.tie_word_embeddings else model.lm_head.weight.detach()
    return replace(_backbone_of(model.base_model, config), head=head), model


def _random(kind: Any, config: PretrainedConfig, device: torch.device, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    # A copy: the model makes it its own, attention included.
    with torch.device(device):
        return kind.from_config(copy.deepcopy(config), dtype=dtype).eval()


def _backbone_of(module: PreTrainedModel, config: PretrainedConfig) -> Backbone:
    backbone = Backbone(
        module=module,
        tokenizer=byte_tokenizer(),
        layers=int(config.num_hidden_layers),
        hidden=int(config.hidden_size),
        is_decoder=True,
        tied=bool(config.tie_word_embeddings),
        folder=Path("made-up"),
    )
    return with_fast_passes(backbone)
