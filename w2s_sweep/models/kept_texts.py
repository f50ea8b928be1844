"""Keys and values of texts that are being continued, of different lengths: padded on the left, in room that grows.

Texts may join and leave. Whether a model's next tokens come out the same is measured with two texts when it is first
asked; no list of architectures is kept.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from w2s_sweep.models.backbone import cache_name
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.load import BROKEN
from w2s_sweep.models.ranks import this_process

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger(__name__)

SPARE = 8
"""Room grows by one in so many of its columns."""
DIGITS = {"fp32": 2.0**-23, "tf32": 2.0**-10, "bf16": 2.0**-7}
"""Relative rounding of products."""


class GrowingLayer(DynamicLayer):
    """Keys and values [texts, heads, tokens, width] of one block, at the beginning of a larger tensor: a token more
    costs no copy of those before it. All tokens are kept: a sliding window is in the mask."""

    room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens; all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return self.keys, self.values
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self.room is None or self.room[0].shape[-2] < after:
            self.take([(self, None, 0)], after)
        assert self.room is not None
        for room, states in zip(self.room, (key_states, value_states), strict=True):
            room[:, :, before:after] = states
        self.keys, self.values = (room[:, :, :after] for room in self.room)
        return self.keys, self.values

    def repeated(self, texts: int, columns: int) -> GrowingLayer:
        """So many texts that all begin with the one here, with room for `columns` tokens more."""
        other, keys, values = GrowingLayer(), self.keys, self.values
        if keys is None or values is None:  # the block reads those of another one
            return other
        before = keys.shape[2]
        first, second = (
            states.new_empty(texts, states.shape[1], before + columns, states.shape[3]) for states in (keys, values)
        )
        first[:, :, :before], second[:, :, :before] = keys, values
        other.lazy_initialization(keys, values)
        other.room = first, second
        other.keys, other.values = first[:, :, :before], second[:, :, :before]
        return other

    def take(self, parts: Sequence[tuple[GrowingLayer, Tensor | None, int]], least: int = 0) -> None:
        """Hold texts of other layers, and of this one, with their last tokens in one column: of each the texts of an
        index, None for all, without its first columns. `least`: columns for which there is to be room."""
        self.room = (_joined(parts, "keys", least), _joined(parts, "values", least))
        columns = max(layer.get_seq_length() - cut for layer, _, cut in parts)
        self.keys, self.values = (room[:, :, :columns] for room in self.room)


def _joined(parts: Sequence[tuple[GrowingLayer, Tensor | None, int]], name: str, least: int) -> Tensor:
    states: list[Tensor] = [getattr(layer, name)[:, :, cut:] for layer, _, cut in parts]
    counts = [len(one) if index is None else len(index) for one, (_, index, _) in zip(states, parts, strict=True)]
    columns, first = max(one.shape[2] for one in states), states[0]
    wanted = max(columns, least)
    room = first.new_empty(sum(counts), first.shape[1], wanted + wanted // SPARE + 16, first.shape[3])
    for target, one, (_, index, _) in zip(room.split(counts), states, parts, strict=True):
        padding = columns - one.shape[2]
        target[:, :, :padding] = 0  # what is masked is still multiplied by 0, which NaN would survive
        target[:, :, padding:columns] = one if index is None else one[index]
    return room


def growing_cache(config: Any) -> Any:
    """An empty cache for a model; None where it keeps more than the keys and values of tokens."""
    cache: Any = DynamicCache(config=config)
    if {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}:
        return None
    cache.layers = [GrowingLayer() for _ in cache.layers]
    return cache


def repeat_cache(cache: Any, texts: int, columns: int) -> Any:
    """What `growing_cache` made and one text was read into, for so many that begin with it: see `repeated`."""
    other: Any = DynamicCache()
    other.layers = [layer.repeated(texts, columns) for layer in cache.layers]
    return other


class KeptTexts:
    """Texts of which all but the newest token are read."""

    def __init__(self, model: LanguageModel, wide: WideUnembedding, *, flexible: bool):
        """`flexible`: texts of different lengths may be here, join and leave, see `measure`."""
        self.model, self.wide, self.flexible = model, wide, flexible
        config: Any = model.transformer.config
        self.cache: Any = growing_cache(config) if flexible else DynamicCache(config=config)
        self.mask = torch.zeros(0, 0, dtype=torch.int64, device=model.backbone.device)
        self.padded = False

    def read(self, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "texts vocabulary"]:
        """Begin with these prompts, of equal lengths unless `flexible`: the logits of what follows each."""
        width = max(map(len, prompts))
        ids, mask = torch.zeros(2, len(prompts), width, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        self.padded = min(map(len, prompts)) < width
        self.mask = mask.to(self.mask.device)
        return self._logits(ids.to(self.mask.device), (self.mask.cumsum(1) - 1).clamp(min=0))

    def append(
        self, tokens: Int[Tensor, " texts"], positions: Int[Tensor, " texts"]
    ) -> Float[Tensor, "texts vocabulary"]:
        """Read one more token of each text, its `positions`-th, counted from 0: the logits of what follows it."""
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        return self._logits(tokens[:, None], positions[:, None])

    def _logits(self, ids: Tensor, positions: Tensor) -> Tensor:
        transformer = self.model.transformer
        reading: dict[str, Any] = {cache_name(transformer): self.cache, "use_cache": True}
        if self.flexible and _has_positions(self.model):
            reading["position_ids"] = positions + self.model.backbone.first_position
        if self.padded:
            reading["attention_mask"] = self.mask
        return self.model.next_logits(ids, reading, self.wide)

    @property
    def token_bytes(self) -> float:
        """Bytes of a token of a text."""
        tensors: list[Tensor] = [
            states for layer in self.cache.layers if layer.is_initialized for states in (layer.keys, layer.values)
        ]
        return sum(one.numel() * one.element_size() for one in tensors) / self.mask.numel()

    def join(self, own: Int[Tensor, " texts"], other: KeptTexts | None, index: Int[Tensor, " texts"]) -> None:
        """Keep the texts `own` of these, followed by those of `other` at `index`, where one may be more than once."""
        both = [(self, own)] if other is None else [(self, own), (other, index)]
        taken = [(kept, rows) for kept, rows in both if len(rows)]
        masks = [kept.mask[rows] for kept, rows in taken]
        # Columns that are empty in all of the texts go.
        cuts = [int(mask.any(0).int().argmax()) for mask in masks]
        for number, layer in enumerate(self.cache.layers):
            parts = [(kept.cache.layers[number], rows, cut) for (kept, rows), cut in zip(taken, cuts, strict=True)]
            if parts[0][0].is_initialized:  # not where a block reads the keys and values of another
                layer.take(parts)
        shorter = [mask[:, cut:] for mask, cut in zip(masks, cuts, strict=True)]
        columns = max(mask.shape[1] for mask in shorter)
        pad = torch.nn.functional.pad
        self.mask = torch.cat([pad(mask, (columns - mask.shape[1], 0)) for mask in shorter])
        self.padded = not bool(self.mask.all())


def _has_positions(model: LanguageModel) -> bool:
    return "position_ids" in inspect.signature(model.transformer.forward).parameters


def measure(model: LanguageModel, products: str, wide: WideUnembedding) -> Measured:
    """Whether two short texts are continued as each alone is: half of the digits are the same, whatever becomes of the
    texts beside it. Measured once for a model; several ranks have to ask together."""
    if model.measured is None:
        why = ""
        try:
            with torch.no_grad():
                off, size = _compare(model, wide)
        except BROKEN as error:
            off, size, why = torch.inf, 0.0, f": {error}"
        # Weights in 16 bits have states in 16 bits, whatever else computes.
        digits = max(DIGITS[products], torch.finfo(model.backbone.embedding.dtype).eps)
        same = this_process().all_of(off < digits**0.5)
        if not same:
            log.info("%s continues texts of one length alone (they differ by %.2g%s)", _name(model), off, why)
        model.measured = Measured(same, size if same else 0.0)
    return model.measured


def _name(model: LanguageModel) -> str:
    return type(model.transformer).__name__


def _compare(model: LanguageModel, wide: WideUnembedding) -> tuple[float, float]:
    """(The largest relative difference of logits, bytes of a token)."""
    if growing_cache(model.transformer.config) is None:
        raise TypeError("it keeps more than keys and values of tokens")
    size, device = len(model.backbone.embedding), model.backbone.device
    longer, shorter = ([(model.backbone.pad_id + 1 + i) % size for i in range(*ends)] for ends in ((0, 7), (7, 13)))

    def index(*rows: int) -> Tensor:
        return torch.tensor(rows, dtype=torch.int64, device=device)

    def alone(text: Sequence[int]) -> Tensor:
        return model.next_logits(index(*text)[None], {"use_cache": False}, wide)[0]

    def together(kept: KeptTexts, *texts: Sequence[int]) -> Tensor:
        return kept.append(index(*(text[-1] for text in texts)), index(*(len(text) - 1 for text in texts)))

    kept, late = (KeptTexts(model, wide, flexible=True) for _ in range(2))
    kept.read([longer[:5], shorter[:3]])
    token_bytes = kept.token_bytes
    kept.join(index(0, 1, 1), None, index())
    together(kept, longer[:6], shorter[:4], shorter[:4])
    late.read([longer[:2]])
    kept.join(index(1, 0), late, index(0))
    texts = shorter[:5], longer, longer[:3]
    found = [*zip(together(kept, *texts), texts, strict=True)]
    kept.join(index(0), None, index())
    found.append((together(kept, shorter)[0], shorter))
    return max(_apart(logits, alone(text)) for logits, text in found), token_bytes


def _apart(found: Tensor, expected: Tensor) -> float:
    """By the deviation of the logits from their mean, which changes no probability and is large in some models."""
    return float((found - expected).norm() / (expected - expected.mean()).norm())
