"""Models of a few thousand weights in the formats of the real ones, built in code: no network, milliseconds each."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from w2s_sweep.models.lora import trainable

WORDS = (  # noqa: SIM905 - one word a string would fill the screen
    "the a an of and to in is was it that film movie story acting plot scene good great fine warm clever bright superb "
    "bad poor dull weak boring awful slow tedious correct incorrect yes no not very quite rather really somehow"
).split()
"""What the vocabularies are made from; other words fall apart into pieces (llama, gpt2, neox) or are unknown (bert)."""
SPREAD = 0.15
"""Standard deviation of the initial weights: large enough that hidden states differ between texts."""


def tiny_llama(
    folder: Path, *, layers: int = 2, hidden: int = 32, tied: bool = True, bos: bool = False, seed: int = 0
) -> Path:
    """A Llama with rotary positions; adds no token of its own unless `bos`."""
    config = LlamaConfig(**_decoder(layers, hidden), num_key_value_heads=2, tie_word_embeddings=tied, pad_token_id=2)
    return _saved(folder, LlamaForCausalLM, config, byte_tokenizer(bos), seed)


def tiny_qwen2(folder: Path, *, layers: int = 2, hidden: int = 32, seed: int = 0) -> Path:
    """A Qwen2: biases in attention, a root-mean-square norm at the end."""
    config = Qwen2Config(**_decoder(layers, hidden), num_key_value_heads=2, tie_word_embeddings=True)
    return _saved(folder, Qwen2ForCausalLM, config, byte_tokenizer(), seed)


def tiny_gpt2(folder: Path, *, layers: int = 2, hidden: int = 32, positions: int = 64, seed: int = 0) -> Path:
    """A GPT-2: learned positions, Conv1D modules, a tied head."""
    config = GPT2Config(
        vocab_size=len(byte_tokenizer()),
        n_embd=hidden,
        n_layer=layers,
        n_head=4,
        n_positions=positions,
        initializer_range=SPREAD,
        bos_token_id=0,
        eos_token_id=1,
    )
    return _saved(folder, GPT2LMHeadModel, config, byte_tokenizer(), seed)


def tiny_neox(folder: Path, *, layers: int = 2, hidden: int = 32, seed: int = 0) -> Path:
    """A GPT-NeoX as in Pythia: the head has weights of its own."""
    config = GPTNeoXConfig(**_decoder(layers, hidden), tie_word_embeddings=False)
    return _saved(folder, GPTNeoXForCausalLM, config, byte_tokenizer(), seed)


def tiny_bert(folder: Path, *, layers: int = 2, hidden: int = 32, positions: int = 64, seed: int = 0) -> Path:
    """A BERT encoder with [CLS] and [SEP] around every text."""
    config = BertConfig(**_encoder(layers, hidden, positions))
    return _saved(folder, BertForMaskedLM, config, word_tokenizer(), seed)


def tiny_deberta(folder: Path, *, layers: int = 1, hidden: int = 32, positions: int = 64, seed: int = 0) -> Path:
    """A DeBERTa encoder whose modules of queries and keys read embeddings of distances too, as those of v3 do."""
    distances = {"relative_attention": True, "position_buckets": 8, "share_att_key": True}
    config = DebertaV2Config(**_encoder(layers, hidden, positions), **distances, pos_att_type=["p2c", "c2p"])
    return _saved(folder, DebertaV2ForMaskedLM, config, word_tokenizer(), seed)


def _decoder(layers: int, hidden: int) -> dict[str, Any]:
    return {**_sizes(byte_tokenizer(), layers, hidden, 256), "bos_token_id": 0, "eos_token_id": 1}


def _encoder(layers: int, hidden: int, positions: int) -> dict[str, Any]:
    return {**_sizes(word_tokenizer(), layers, hidden, positions), "pad_token_id": 0}


def _sizes(tokenizer: PreTrainedTokenizerFast, layers: int, hidden: int, positions: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": positions,
        "initializer_range": SPREAD,
    }


@cache
def byte_tokenizer(bos: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose merges make one token of each of `WORDS` with a blank before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<bos>", "<eos>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator([f" {word}" for word in WORDS], trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", model_max_length=10_000
    )


@cache
def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each of `WORDS`, `[UNK]` for the rest."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def trainable_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name -> value of what training changes: adapters and head, or every weight."""
    return {name: parameter.detach().clone() for name, parameter in trainable(module).items()}


def sentences(count: int, *, seed: int = 0, most: int = 12) -> list[str]:
    """Texts of 1 to `most` words, the same for the same arguments."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, most))) for _ in range(count)]


def _saved(
    folder: Path,
    architecture: type[PreTrainedModel],
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        architecture(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_gguf(folder: Path, target: Path) -> Path:
    """The model of `tiny_llama` in `folder` as an unquantised GGUF file, as llama.cpp's converter would write it."""
    model = LlamaForCausalLM.from_pretrained(folder)
    config, state = model.config, model.state_dict()
    writer = GGUFWriter(target, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, folder)
    for name, stored in _gguf_names(config.num_hidden_layers).items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2], 0)
        writer.add_tensor(stored, _interleaved(state[name].numpy(), heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _add_tokenizer(writer: GGUFWriter, folder: Path) -> None:
    stored = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(stored["vocab"], key=stored["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i < 3 else 1 for i in range(len(tokens))])  # 3: control, 1: normal
    writer.add_token_merges([" ".join(pair) for pair in stored["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)


def _gguf_names(layers: int) -> dict[str, str]:
    inside = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for i in range(layers):
        names |= {f"model.layers.{i}.{ours}.weight": f"blk.{i}.{theirs}.weight" for ours, theirs in inside.items()}
    return names


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a rotary projection in the order of GGUF: the two halves of each head interleaved."""
    if heads == 0:
        return weight
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
