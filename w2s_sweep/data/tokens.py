"""Texts to token ids: every text gives 1 to `max_tokens` of them, and every model cuts long texts the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2s_sweep.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenise(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int, vocabulary: int | None = None
) -> list[list[int]]:
    """Ids of each text with the special tokens that the tokenizer adds, which survive the cut; the end of a long text
    is kept, where a task's question and answer stand.

    A text without any token gets a single special one, since there is no read-out of nothing. `vocabulary`: rows of
    the model's embedding. Raises ModelError when an id lies beyond it, or when an empty text has no token to stand in.
    """
    if not texts:
        return []
    side, tokenizer.truncation_side = tokenizer.truncation_side, "left"  # questions and answers stand at the end
    try:
        encoded = tokenizer(
            list(texts), truncation=True, max_length=max_tokens, padding=False, return_attention_mask=False
        )
    finally:
        tokenizer.truncation_side = side
    ids: list[list[int]] = [list(row) or [stand_in(tokenizer)] for row in encoded["input_ids"]]
    require_fit(ids, vocabulary)
    return ids


def stand_in(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that represents an empty text: begin of text, end of text or padding, the first that there is."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.cls_token_id):
        if isinstance(token, int):
            return token
    raise ModelError(
        "tokenizer: an example has no tokens, and the tokenizer has no bos, eos or pad token to stand in for them. "
        "Set one of them in the model's tokenizer_config.json."
    )


def require_fit(ids: Sequence[Sequence[int]], vocabulary: int | None) -> None:
    """ModelError when an id lies beyond the `vocabulary` rows of the model's embedding."""
    largest = max(max(row) for row in ids)
    if vocabulary is not None and largest >= vocabulary:
        raise ModelError(
            f"tokenizer: it gave token id {largest}, but the model embeds ids 0 to {vocabulary - 1} only. "
            "The tokenizer belongs to another model: take both from the same folder or repository."
        )
