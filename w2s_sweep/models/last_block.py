"""The feed-forward layer of the last block, for those tokens alone whose states are read: of all others, a read-out at
the last token needs keys and values, which come before it. States that are read, and all gradients, stay what they are
up to rounding.

The layer is found by its name. Whether what is read stays the same is measured with two texts when a model is loaded,
as for packed batches (`models/packed.py`), which it goes with.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from w2s_sweep.data.batches import Texts, pack
from w2s_sweep.errors import ModelError
from w2s_sweep.models.changed import change_back, change_forward
from w2s_sweep.models.packed import are_same, packed_states, two_texts

if TYPE_CHECKING:
    from jaxtyping import Float

    from w2s_sweep.models.backbone import Backbone

log = logging.getLogger(__name__)

NAMES = ("mlp", "ffn", "feed_forward")
"""What families call the layer."""


class _FeedForward(nn.Module):
    read: Tensor | None = None
    """int64: the tokens of the pass, of one row, that are read; None: any may be."""

    def forward(self, states: Tensor) -> Tensor:
        if self.read is None:
            return super().forward(states)
        found = super().forward(states.index_select(1, self.read))
        return found.new_zeros(1, states.shape[1], found.shape[2]).index_copy(1, self.read, found)


class _LastBlock(nn.Module):
    """It says what is read at every call: with checkpointing some are in the backward pass, after other passes."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        texts: Texts | None = kwargs.get("texts")
        _layer_of(self).read = None if texts is None else texts.read
        return super().forward(*args, **kwargs)


def _layer_of(block: nn.Module) -> Any:
    return next((child for name, child in block.named_children() if name in NAMES), None)


def skip_unread(backbone: Backbone, whole: Float[Tensor, "tokens width"], errors: tuple[type[Exception], ...]) -> bool:
    """Let the last block of a model that reads packed batches leave out what is not read, if all that is read comes out
    the same; `errors` count as another result. `whole`: the states of `two_texts`, where all tokens may be read."""
    try:
        block = backbone.blocks[-1]
    except ModelError:  # it has none that could be found
        return False
    layer = _layer_of(block)
    if layer is None:
        return False
    change_forward(layer, _FeedForward)
    change_forward(block, _LastBlock)
    try:
        skips = _skips(backbone, whole)
    except errors as error:
        log.info("%s computes its last block for all tokens: %s", type(backbone.module).__name__, error)
        skips = False
    layer.read = None
    if not skips:
        change_back(layer)
        change_back(block)
    return skips


def _skips(backbone: Backbone, whole: Float[Tensor, "tokens width"]) -> bool:
    """Whether of two texts those states that are read stay the same, and others do not."""
    tokens, ones, texts = pack(two_texts(len(backbone.embedding), backbone.pad_id))
    texts = replace(texts, read=texts.ends).to(backbone.device)
    with torch.no_grad():
        found = packed_states(
            backbone.module, tokens.to(backbone.device), ones.to(backbone.device), texts, backbone.first_position
        )[0]
    # Any difference of the others will do: in 16 bits, a layer may change little.
    return bool(are_same(found, whole)[texts.ends].all() and (found != whole).any())
