"""The numbers of a transformer that its memory follows from: out of its config.json, or guessed from its size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from w2s_sweep.config.finetune import takes_all_linear
from w2s_sweep.config.model import Model

VOCABULARY = 128_000
"""Assumed where no config.json says it: that of Llama 3."""
FUSED = ("gpt2", "gpt_neox", "bloom", "falcon", "phi3")
"""Families that compute queries, keys and values in one matrix, and gate and feed-forward layer in one."""
PLAIN = ("gpt2", "gpt_neox", "gptj", "gpt_neo", "opt", "bloom", "falcon", "bert", "roberta", "distilbert", "electra")
"""Families whose feed-forward layer has two matrices, without a gate."""


@dataclass(frozen=True)
class Shape:
    """Numbers of a transformer that its memory follows from."""

    family: str
    """`model_type` of its configuration."""
    params: float
    """Of embedding and blocks."""
    layers: int
    hidden: int
    queries: float
    """Width of all queries together."""
    keys: float
    """Width of all keys together, which is that of the values."""
    inner: float
    """Width of the feed-forward layer; of a mixture, of the experts that see a token together."""
    heads: float
    vocabulary: float = 0

    @property
    def head(self) -> float:
        """Weights of an unembedding of its own."""
        return self.vocabulary * self.hidden

    def first(self, share: float) -> "Shape":
        """The same with that share of its blocks."""
        return replace(self, params=self.params * share, layers=max(1, round(self.layers * share)))

    @property
    def matrices(self) -> float:
        """Weights of the linear layers of a block that a token passes."""
        return self.hidden * self.sides

    @property
    def feed_forward(self) -> float:
        """Weights of a block's feed-forward layer that a token passes."""
        return self.hidden * (3 if self.gated else 2) * self.inner

    @property
    def sides(self) -> float:
        """Widths of those sides of a block's linear layers that are not `hidden`."""
        return 2 * self.queries + 2 * self.keys + (3 if self.gated else 2) * self.inner

    @property
    def count(self) -> int:
        """Linear layers of a block."""
        return 4 if self.family in FUSED else 7 if self.gated else 6

    def outputs(self, targets: Sequence[str]) -> float:
        """Outputs of a block's modules of these names together."""
        if takes_all_linear(targets):
            into = (2 if self.gated else 1) * self.inner
            return self.queries + 2 * self.keys + 2 * self.hidden + into
        narrowing = {"o_proj": self.queries, "down_proj": self.inner}  # what goes in; `hidden` comes out
        return sum(self.adapter_size([t]) - narrowing.get(t.rsplit(".", 1)[-1], self.hidden) for t in targets)

    def kept_inputs(self, targets: Sequence[str]) -> float:
        """Inputs of a block's modules of these names that are kept for adapters alone, in units of width: those of
        attention's first matrices are kept anyway."""
        inner = (2 if self.gated else 1) * self.inner
        if takes_all_linear(targets):
            return self.queries + self.hidden + inner
        return sum({"o_proj": self.queries, "up_proj": self.hidden, "down_proj": inner}.get(t, 0) for t in targets)

    @property
    def keys_and_values(self) -> float:
        """Bytes of the keys and values of a token in all blocks, in 16 bits."""
        return 2 * 2 * self.keys * self.layers

    @property
    def gated(self) -> bool:
        return self.family not in PLAIN

    def adapter_size(self, targets: Sequence[str]) -> float:
        """Inputs and outputs of a block's modules of these names together: what the size of adapters is a multiple
        of."""
        hidden, inner = self.hidden, self.inner
        if takes_all_linear(targets):
            return self.sides + hidden * self.count
        sides = {
            "q_proj": hidden + self.queries,
            "k_proj": hidden + self.keys,
            "v_proj": hidden + self.keys,
            "o_proj": hidden + self.queries,
            "c_attn": hidden + self.queries + 2 * self.keys,
            "query_key_value": hidden + self.queries + 2 * self.keys,
            "query": 2 * hidden,
            "key": 2 * hidden,
            "value": 2 * hidden,
        }
        return sum(sides.get(target.rsplit(".", 1)[-1], hidden + inner) for target in targets)


def parse_shape(config: Mapping[str, Any], model: Model) -> Shape:
    """From the content of a config.json; what it does not say is guessed, see `guess_shape`."""
    guessed = guess_shape(model)

    def number(*names: str) -> float | None:
        found = (config.get(name) for name in names)
        return next((float(value) for value in found if isinstance(value, int | float)), None)

    hidden = int(number("hidden_size", "n_embd", "dim") or model.hidden)
    heads = number("num_attention_heads", "n_head", "n_heads") or guessed.heads
    each = number("head_dim") or hidden / heads
    family = str(config.get("model_type", guessed.family))
    inner = number("intermediate_size", "n_inner", "ffn_dim", "hidden_dim", "moe_intermediate_size")
    return Shape(
        family=family,
        params=guessed.params,
        layers=guessed.layers,
        hidden=hidden,
        queries=heads * each,
        keys=(number("num_key_value_heads") or heads) * each,
        inner=(inner or 4.0 * hidden) * (number("num_experts_per_tok") or 1),
        heads=heads,
        vocabulary=number("vocab_size") or guessed.vocabulary,
    )


def guess_shape(model: Model) -> Shape:
    """From a model's size, layers and width alone, before its files are there: a Llama whose keys are a quarter of its
    queries, with all weights in its blocks, which for small models is too much."""
    kept = min(model.keep_layers or model.layers, model.layers)
    sides = model.params / model.layers / model.hidden
    return Shape(
        family="llama",
        params=model.params * kept / model.layers,
        layers=kept,
        hidden=model.hidden,
        queries=model.hidden,
        keys=model.hidden / 4,
        inner=max(0.0, (sides - 2.5 * model.hidden) / 3),
        heads=model.hidden / 64,
        vocabulary=VOCABULARY,
    )
