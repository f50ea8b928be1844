"""What a causal language model answers without training: the next-token scores of one word a class after each prompt.

All prompts begin with the same tokens (instruction and demonstrations), whose keys and values are computed once. Every
text, of a demonstration or of a row, is cut to the same number of tokens and keeps its end, as in training; nothing
else is ever cut or dropped: a prompt that does not fit the model is an error.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import pad
from w2s_sweep.data.tokens import require_fit
from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import autocast
from w2s_sweep.models.forward_passes import Passes, over_rows
from w2s_sweep.models.language import require_plain_head
from w2s_sweep.models.readout import last_token

if TYPE_CHECKING:
    from jaxtyping import Float

GAP = "\n\n"
"""Between instruction, demonstrations and the text in question."""


Asked = str | tuple[str, str]
"""What a question is about: a text, or the two of a pair."""


@dataclass(frozen=True)
class Template:
    """The words around texts, see `config.prompt.Prompt`, and the length that each text is cut to."""

    instruction: str
    question: str
    words: tuple[str, ...]
    max_tokens: int
    pair: str | None = None
    """What stands around the two texts of a pair."""

    def prefix(self, backbone: Backbone, demonstrations: Sequence[tuple[Asked, int]]) -> list[int]:
        """Tokens that all prompts begin with; a demonstration is a text, or a pair, and its class. May be empty."""
        ids = self.opening(backbone)
        for text, label in demonstrations:
            ids += self.encode(backbone, text) + self.answer(backbone, label)
        return ids

    def opening(self, backbone: Backbone) -> list[int]:
        """Tokens before the first demonstration."""
        return _begin(backbone) + (_ids(backbone, self.instruction + GAP) if self.instruction else [])

    def answer(self, backbone: Backbone, label: int) -> list[int]:
        """Tokens that follow the question in a demonstration of this class."""
        return _ids(backbone, self.words[label] + GAP)

    def encode(self, backbone: Backbone, about: Asked) -> list[int]:
        """Tokens of a text, or a pair, and the question, at least one."""
        # Part by part: no token of a row depends on what stands before it, so all prompts share the cached prefix.
        if isinstance(about, str):
            return self._cut(backbone, about) + _ids(backbone, self.question)
        assert self.pair is not None, "a template for pairs"
        before, rest = self.pair.split("{first}", 1)
        between, after = rest.split("{second}", 1)
        first, second = (self._cut(backbone, text) for text in about)
        ids = _ids(backbone, before) + first + _ids(backbone, between) + second
        return ids + _ids(backbone, after + self.question)

    def _cut(self, backbone: Backbone, text: str) -> list[int]:
        return _ids(backbone, text)[-self.max_tokens :]


def _ids(backbone: Backbone, text: str) -> list[int]:
    return list(backbone.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []  # pyright: ignore[reportArgumentType]


def _begin(backbone: Backbone) -> list[int]:
    """The token that the tokenizer puts in front of every text, if it does."""
    ids = list(backbone.tokenizer("a")["input_ids"])  # pyright: ignore[reportArgumentType]
    return ids[:1] if ids and ids[0] == backbone.tokenizer.bos_token_id else []


def require_prompt(
    backbone: Backbone, prefix: Sequence[int], rows: Sequence[Sequence[int]], shots: int, setting: str = "method.shots"
) -> None:
    """ModelError for a model that cannot be prompted at all, or not with these tokens; `setting` is what has that many
    examples shown."""
    if not backbone.is_decoder:
        raise ModelError(
            f"model {backbone.folder}: it is a masked language model, which has no next token to answer with. "
            "Prompt a causal one, such as model@strong=smollm2_135m, or choose a method that trains."
        )
    require_plain_head(backbone)
    require_fit([*rows, prefix] if prefix else rows, len(backbone.embedding))
    config: Any = backbone.module.config
    longest = len(prefix) + max(map(len, rows))
    room = backbone.positions or getattr(config, "max_position_embeddings", None)
    if room is not None and longest > room:
        raise ModelError(
            f"model {backbone.folder}: the longest prompt, with {shots} demonstrations, has {longest} tokens, "
            f"the model has room for {room}. Lower {setting} or dataset.max_tokens, for all models of a comparison."
        )


def answer_logits(
    backbone: Backbone,
    prefix: Sequence[int],
    rows: Sequence[Sequence[int]],
    words: Float[Tensor, "classes hidden"],
    *,
    precision: Precision = "bf16",
    token_budget: int = 8192,
    cached: bool = True,
    passes: Passes | None = None,
) -> np.ndarray:
    """float32 [rows, classes]: unembedding rows `words` times the last hidden state of `prefix` + each row.

    Differences between classes are those of the model's next-token log-probabilities (biases of a head, which few
    models have, are not applied). `cached` computes the prefix once; results differ by rounding only. `token_budget`
    bounds the padded tokens whose keys and values a forward pass holds, prefix included. `passes` keeps what is done.
    """
    device = backbone.device
    with torch.no_grad(), autocast(device, precision):
        cache = _prefix_cache(backbone, prefix) if cached and prefix else None
    full = rows if cache is not None else [[*prefix, *row] for row in rows]

    def compute(batch: list[int]) -> Tensor:
        ids, mask = pad([full[row] for row in batch], backbone.pad_id)
        with torch.no_grad(), autocast(device, precision):
            return _forward(backbone, ids.to(device), mask.to(device), cache).float() @ words.T

    lengths = [len(prefix) + len(row) for row in rows]
    return over_rows(lengths, len(words), compute, token_budget, passes or Passes())


def _prefix_cache(backbone: Backbone, prefix: Sequence[int]) -> Any:
    """Keys and values of the prefix, batch 1; None for architectures with another kind of memory."""
    ids = torch.tensor([list(prefix)], device=backbone.device)
    said = backbone.module(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True)
    cache = getattr(said, _cache_name(backbone), None)
    layers = getattr(cache, "layers", ())
    return cache if layers and all(getattr(layer, "keys", None) is not None for layer in layers) else None


def _cache_name(backbone: Backbone) -> str:
    """What forward passes call their cache: later releases of transformers 5 rename `past_key_values`."""
    return "cache" if "cache" in inspect.signature(backbone.module.forward).parameters else "past_key_values"


def _forward(backbone: Backbone, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
    """[batch, hidden]: the state of each row's last real token; `cache` is copied, since a pass appends to it."""
    if cache is None:
        hidden = backbone.module(input_ids=ids, attention_mask=mask).last_hidden_state
        return last_token(hidden, mask)
    own = copy.deepcopy(cache)
    own.batch_repeat_interleave(len(ids))
    before = mask.new_ones(len(ids), cache.get_seq_length())
    said = backbone.module(
        input_ids=ids,
        attention_mask=torch.cat([before, mask], dim=1),
        use_cache=True,
        **{_cache_name(backbone): own},
    )
    return last_token(said.last_hidden_state, mask)
