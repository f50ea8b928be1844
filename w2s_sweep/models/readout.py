"""From hidden states to one vector a text; padding is defined by the mask alone, never by a token id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from w2s_sweep.data.batches import Texts

Pooling = Literal["last", "mean"]


def last_token(hidden: Float[Tensor, "batch tokens width"], mask: Int[Tensor, "batch tokens"]) -> Tensor:
    """[batch, width]: the hidden state of the last token whose mask is 1."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (positions * (mask != 0)).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def mean_tokens(
    hidden: Float[Tensor, "batch tokens width"], mask: Int[Tensor, "batch tokens"], skip_first: bool
) -> Tensor:
    """[batch, width], float32: the mean over the tokens whose mask is 1.

    `skip_first` leaves out the first of them, unless it is the only one: in decoders it is the attention sink, whose
    norm is a hundred times that of the others (Xiao et al. 2023, arXiv 2309.17453).
    """
    real = (mask != 0).float()
    if skip_first:
        first = (real.cumsum(1) == 1) & (real == 1)
        real = real * ~(first & (real.sum(1, keepdim=True) > 1))
    weights = real / real.sum(1, keepdim=True).clamp(min=1)
    return (hidden.float() * weights.unsqueeze(-1)).sum(1)


def pool(
    hidden: Float[Tensor, "batch tokens width"],
    mask: Int[Tensor, "batch tokens"],
    pooling: Pooling,
    is_decoder: bool,
    texts: Texts | None = None,
) -> Float[Tensor, "texts width"]:
    """float32 [texts, width]: `last_token`, or `mean_tokens` without the sink of a decoder; `texts` of a packed row."""
    if texts is not None:
        return _pool_packed(hidden[0], texts, pooling, is_decoder)
    if pooling == "mean":
        return mean_tokens(hidden, mask, skip_first=is_decoder)
    return last_token(hidden, mask).float()


def _pool_packed(
    hidden: Float[Tensor, "tokens width"], texts: Texts, pooling: Pooling, is_decoder: bool
) -> Float[Tensor, "texts width"]:
    if pooling == "last":
        return hidden[texts.ends].float()
    parts = hidden.float().split(texts.lengths)
    return torch.stack([part[int(is_decoder and len(part) > 1) :].mean(0) for part in parts])
