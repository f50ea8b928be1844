"""A tiny model with random weights of every family that is promised, in a folder as transformers saves it."""

import copy
from pathlib import Path

import torch
import transformers as tf

from tests.models.test_packed import GROUPED, PACKED, PADDED, SIZE, SPECIAL
from tests.tiny import byte_tokenizer, word_tokenizer

FAMILIES = PACKED | PADDED | {
    "gemma2": tf.Gemma2Config(**GROUPED, head_dim=8, sliding_window=8),
    "smollm3": tf.SmolLM3Config(**GROUPED),
    "gpt_neo": tf.GPTNeoConfig(
        **SPECIAL, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8
    ),
    "qwen3_moe": tf.Qwen3MoeConfig(
        **GROUPED, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32
    ),
    "deepseek_v3": tf.DeepseekV3Config(
        **GROUPED | {"num_key_value_heads": 4}, moe_intermediate_size=32, n_routed_experts=4, num_experts_per_tok=2,
        n_group=1, topk_group=1, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8,
        first_k_dense_replace=1,
    ),
    "electra": tf.ElectraConfig(**SIZE, **SPECIAL, embedding_size=16),
    "deberta": tf.DebertaConfig(**SIZE, **SPECIAL),
    "deberta-v2": tf.DebertaV2Config(**SIZE, **SPECIAL, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "albert": tf.AlbertConfig(**SIZE, **SPECIAL, embedding_size=16),
    "t5": tf.T5Config(
        **SPECIAL, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=1
    ),
}  # fmt: skip
ENCODERS = ("bert", "roberta", "distilbert", "modernbert", "electra", "deberta", "deberta-v2", "albert")


def write_family(name: str, folder: Path) -> Path:
    """The folder of a tiny model with a language-model head and the tokenizer of its kind."""
    config = copy.deepcopy(FAMILIES[name])
    tokenizer = word_tokenizer() if name in ENCODERS else byte_tokenizer()
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    config.initializer_range = 0.1
    kind = tf.AutoModelForMaskedLM if name in ENCODERS else tf.AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = (tf.AutoModelForSeq2SeqLM if name == "t5" else kind).from_config(config)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
