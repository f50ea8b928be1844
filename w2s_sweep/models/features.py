"""Frozen features: the hidden state of every text after one block, computed once for all probes on it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from w2s_sweep.config.finetune import Precision
from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.collator import Batch, Collator
from w2s_sweep.models.device import autocast
from w2s_sweep.models.forward_passes import Passes, over_rows
from w2s_sweep.models.readout import Pooling, pool

DEFAULT_DEPTH = 0.6
"""Share of a decoder's blocks: middle layers carry more linearly readable meaning than the last ones, which predict the
next token."""


class Blocks(Protocol):
    """What `feature_layer` asks of a model."""

    @property
    def layers(self) -> int: ...

    @property
    def is_decoder(self) -> bool: ...


def feature_layer(model: Blocks, layer: int | None) -> int:
    """The block to read, 0 (the embedding) to `layers`; None takes the default. ModelError beyond the last."""
    if layer is None:
        return max(1, round(DEFAULT_DEPTH * model.layers)) if model.is_decoder else model.layers
    if not 0 <= layer <= model.layers:
        raise ModelError(
            f"model.feature_layer: {layer}, but the model has {model.layers} layers (model.keep_layers counts). "
            f"Use 0 (the embedding) to {model.layers}, or null for the default."
        )
    return layer


def frozen_features(
    backbone: Backbone,
    token_ids: Sequence[Sequence[int]],
    *,
    layer: int | None = None,
    pooling: Pooling = "last",
    precision: Precision = "bf16",
    token_budget: int = 8192,
    passes: Passes | None = None,
    collator: Collator | None = None,
) -> np.ndarray:
    """float32 [texts, hidden]: the pooled hidden state after block `layer`, before any norm that follows the blocks.

    Runs where the model is; blocks above `layer` are not computed. `token_budget`: tokens of a forward pass; it changes
    results by rounding only. `passes` keeps what is done, `collator` counts it.
    """
    depth = feature_layer(backbone, layer)
    collator = collator or backbone.collator()

    def compute(rows: list[int]) -> Tensor:
        # Padding is on the right, so a decoder's first token is real. It is the attention sink, which `pool` leaves out
        # of means: its norm would outweigh all others (Xiao et al. 2023, arXiv 2309.17453).
        batch = collator.batch([token_ids[row] for row in rows])
        with torch.no_grad(), autocast(backbone.device, precision):
            hidden = hidden_after(backbone, depth, batch, last=pooling == "last")
            return pool(hidden, batch.mask, pooling, backbone.is_decoder, batch.texts)

    batches = collator.split([(len(ids),) for ids in token_ids], range(len(token_ids)), token_budget)
    with collator.read.measure():
        return over_rows(batches, backbone.hidden, compute, passes or Passes())


class _Reached(Exception):  # not an error: ends a forward pass at the block that is read
    def __init__(self, hidden: Tensor):
        self.hidden = hidden


def hidden_after(backbone: Backbone, depth: int, batch: Batch, *, last: bool = False) -> Tensor:
    """[rows, tokens, hidden]: the residual stream after `depth` blocks; computes no more than these. `last`: that of
    the last token of each text alone is right."""
    # An exception is the one way out of a model's own forward pass: output_hidden_states would compute all blocks, keep
    # every state, and have the final norm in the last.
    with _stop_after(backbone.blocks, depth):
        try:
            backbone.states(batch.ids, batch.mask, batch.texts, last=last)
        except _Reached as reached:
            return reached.hidden
    raise ModelError(f"model {backbone.folder}: its forward pass never reached block {depth} of {backbone.layers}.")


def _stop_after(blocks: nn.ModuleList, depth: int) -> torch.utils.hooks.RemovableHandle:
    def on_entry(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    def on_exit(_: nn.Module, args: object, output: Tensor | tuple[Tensor, ...]) -> None:
        raise _Reached(output[0] if isinstance(output, tuple) else output)

    if depth == 0:
        return blocks[0].register_forward_pre_hook(on_entry, with_kwargs=True)
    return blocks[depth - 1].register_forward_hook(on_exit)
