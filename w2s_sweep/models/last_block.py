"""The feed-forward layer of the last block, for those tokens alone whose states are read: of all others, a read-out at
the last token needs keys and values, which come before it. States that are read, and all gradients, stay what they are
up to rounding.

The layer is found by its name. Whether what is read stays the same is measured with two texts when a model is loaded,
as for packed batches (`models/packed.py`), which it goes with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from w2s_sweep.data.batches import Texts, pack
from w2s_sweep.errors import ModelError
from w2s_sweep.models.packed import are_same, packed_states, two_texts

if TYPE_CHECKING:
    from w2s_sweep.models.backbone import Backbone

log = logging.getLogger(__name__)

NAMES = ("mlp", "ffn", "feed_forward")
"""What families call the layer."""


class _FeedForward:
    """The layer's own `forward`, in its place."""

    def __init__(self, forward: Callable[[Tensor], Tensor]):
        self._forward = forward
        self.read: Tensor | None = None
        """int64: the tokens of the pass, of one row, that are read; None: any may be."""

    def __call__(self, states: Tensor) -> Tensor:
        if self.read is None:
            return self._forward(states)
        found = self._forward(states.index_select(1, self.read))
        return found.new_zeros(1, states.shape[1], found.shape[2]).index_copy(1, self.read, found)


class _Block:
    """The block's own `forward`, in its place. It says what is read at every call: with checkpointing some are in the
    backward pass, after other passes."""

    def __init__(self, forward: Callable[..., Any], layer: _FeedForward):
        self._forward, self._layer = forward, layer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        texts: Texts | None = kwargs.get("texts")
        self._layer.read = None if texts is None else texts.read
        return self._forward(*args, **kwargs)


def skip_unread(backbone: Backbone, errors: tuple[type[Exception], ...]) -> bool:
    """Let the last block of a model that reads packed batches leave out what is not read, if all that is read comes out
    the same; `errors` count as another result."""
    try:
        block = backbone.blocks[-1]
    except ModelError:  # it has none that could be found
        return False
    layer = next((child for name, child in block.named_children() if name in NAMES), None)
    if layer is None:
        return False
    within = _FeedForward(layer.forward)
    layer.forward, block.forward = within, _Block(block.forward, within)
    try:
        skips = _skips(backbone)
    except errors as error:
        log.info("%s computes its last block for all tokens: %s", type(backbone.module).__name__, error)
        skips = False
    if not skips:
        del layer.forward, block.forward  # those of their classes are left
    return skips


def _skips(backbone: Backbone) -> bool:
    """Whether of two texts those states that are read stay the same, and others do not."""
    tokens, ones, texts = pack(two_texts(len(backbone.embedding), backbone.pad_id))
    batch, texts = (tokens.to(backbone.device), ones.to(backbone.device)), texts.to(backbone.device)
    first = backbone.first_position
    with torch.no_grad():
        whole = packed_states(backbone.module, *batch, texts, first)[0]
        found = packed_states(backbone.module, *batch, replace(texts, read=texts.ends), first)[0]
    # Any difference of the others will do: in 16 bits, a layer may change little.
    return bool(are_same(found, whole)[texts.ends].all() and (found != whole).any())
