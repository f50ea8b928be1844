"""What a causal language model answers without training: the next-token scores of one word a class after each prompt.

All prompts begin with the same tokens (instruction and demonstrations), whose keys and values are computed once where
that saves more than padding costs; else whole prompts are read, packed. Every text, of a demonstration or of a row, is
cut to the same number of tokens and keeps its end, as in training; nothing else is ever cut or dropped: a prompt that
does not fit the model is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import micro_batches
from w2s_sweep.data.tokens import require_fit
from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone, cache_name
from w2s_sweep.models.collator import Batch, Collator
from w2s_sweep.models.device import autocast
from w2s_sweep.models.forward_passes import Passes, over_rows
from w2s_sweep.models.kept_texts import repeat_cache, roomy_cache
from w2s_sweep.models.language import require_plain_head
from w2s_sweep.models.readout import last_token, pool

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
        before, between, after = around_pair(self.pair)
        first, second = (self._cut(backbone, text) for text in about)
        ids = _ids(backbone, before) + first + _ids(backbone, between) + second
        return ids + _ids(backbone, after + self.question)

    def _cut(self, backbone: Backbone, text: str) -> list[int]:
        return _ids(backbone, text)[-self.max_tokens :]


def around_pair(pair: str | None) -> tuple[str, str, str]:
    """What a template for pairs has before, between and after the two texts."""
    assert pair is not None, "a template for pairs"
    before, rest = pair.split("{first}", 1)
    between, after = rest.split("{second}", 1)
    return before, between, after


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
    cached: bool | None = None,
    passes: Passes | None = None,
    collator: Collator | None = None,
) -> np.ndarray:
    """float32 [rows, classes]: unembedding rows `words` times the last hidden state of `prefix` + each row.

    Differences between classes are those of the model's next-token log-probabilities (biases of a head, which few
    models have, are not applied). `cached` computes the prefix once, None where that takes fewer tokens than packed
    prompts do; results differ by rounding only. `token_budget` bounds the tokens whose keys and values a forward pass
    holds, prefix included. `passes` keeps what is done, `collator` counts it.
    """
    device, lengths = backbone.device, [len(prefix) + len(row) for row in rows]
    collator = collator or backbone.collator()
    batches = micro_batches(lengths, range(len(rows)), token_budget)
    if cached is None:
        cached = not collator.packs or _cached_tokens(lengths, len(prefix), batches) < sum(lengths)
    with torch.no_grad(), autocast(device, precision):
        cache = _prefix_cache(backbone, prefix) if cached and prefix else None
    if cache is None:
        batches = collator.split([(length,) for length in lengths], range(len(rows)), token_budget)

    def compute(chosen: list[int]) -> Tensor:
        with torch.no_grad(), autocast(device, precision):
            if cache is None:
                states = _last_states(backbone, collator.batch([[*prefix, *rows[row]] for row in chosen]))
            else:
                states = _states_after(backbone, collator.batch([rows[row] for row in chosen], padded=True), cache)
            return states.float() @ words.T

    with collator.read.measure():
        return over_rows(batches, len(words), compute, passes or Passes())


def _cached_tokens(lengths: Sequence[int], prefix: int, batches: Sequence[Sequence[int]]) -> int:
    """Tokens that are computed with a prefix whose states are kept: it once, and padded rows."""
    return prefix + sum(len(rows) * (max(lengths[row] for row in rows) - prefix) for rows in batches)


def _prefix_cache(backbone: Backbone, prefix: Sequence[int]) -> Any:
    """Keys and values of the prefix, batch 1; None for architectures with another kind of memory."""
    cache = roomy_cache(backbone.module.config, 1, len(prefix))
    if cache is None:
        return None
    ids = torch.tensor([list(prefix)], device=backbone.device)
    reading = {cache_name(backbone.module): cache, "use_cache": True}
    backbone.module(input_ids=ids, attention_mask=torch.ones_like(ids), **reading)
    # A family that has its own ways leaves it empty.
    return cache if cache.get_seq_length() == len(prefix) else None


def _last_states(backbone: Backbone, batch: Batch) -> Tensor:
    """[rows, hidden]: the state of each text's last token."""
    hidden = backbone.states(batch.ids, batch.mask, batch.texts, last=True)
    return pool(hidden, batch.mask, "last", backbone.is_decoder, batch.texts)


def _states_after(backbone: Backbone, batch: Batch, cache: Any) -> Tensor:
    """[rows, hidden]: the same after what is in `cache`, which is copied for every row, with room for its tokens."""
    own = repeat_cache(cache, *batch.ids.shape)
    before = batch.mask.new_ones(len(batch.ids), cache.get_seq_length())
    said = backbone.module(
        input_ids=batch.ids,
        attention_mask=torch.cat([before, batch.mask], dim=1),
        use_cache=True,
        **{cache_name(backbone.module): own},
    )
    return last_token(said.last_hidden_state, batch.mask)
