"""Keys and values of texts that are continued, of different lengths: padded on the left, with room for what follows.

Whether a model's next tokens come out the same is measured with two texts when it is first asked; no list of
architectures is kept.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import cache_name
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.load import BROKEN
from w2s_sweep.models.packed import two_texts
from w2s_sweep.models.ranks import this_process

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger(__name__)

DIGITS = {"fp32": 2.0**-23, "tf32": 2.0**-10, "bf16": 2.0**-7}
"""Relative rounding of products."""
FORGOTTEN = 0.02
"""Relative difference of logits from which on a model does not use what it keeps: of those that do, .0015 was the most,
of those that do not, .9 the least."""
PARTS = 4
"""Prompts of different lengths are read in so many parts: a text is not in those that are padding alone for it."""


class RoomyLayer(DynamicLayer):
    """Keys and values [texts, heads, tokens, width] of one block, at the beginning of tensors with room for so many
    texts and `columns` tokens: one more costs no copy of those before it. All tokens are kept: a sliding window is in
    the mask."""

    def __init__(self, texts: int, columns: int):
        super().__init__()
        self.texts, self.columns = texts, columns
        self.room: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the states of new tokens of the first texts; all that these have. Those of the others are 0: what is
        masked is still multiplied by 0, which NaN would survive."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.room = [self._room_like(states).zero_() for states in (key_states, value_states)]
        before, count = self.get_seq_length(), len(key_states)
        after = before + key_states.shape[2]
        for room, states in zip(self.room, (key_states, value_states), strict=True):
            room[:count, :, before:after] = states
        self.keys, self.values = (room[:count, :, :after] for room in self.room)
        return self.keys, self.values

    def taken(self, index: Int[Tensor, " texts"], cut: int, more: int) -> RoomyLayer:
        """The texts at `index`, where one may be more than once, without their first `cut` columns, with room for so
        many `more`."""
        columns = self.get_seq_length() - cut
        other = RoomyLayer(len(index), columns + more)
        if self.is_initialized:  # not where the block reads the keys and values of another one
            other.lazy_initialization(*self.room)
            other.room = [other._room_like(room) for room in self.room]
            other.keys, other.values = (room[:, :, :columns] for room in other.room)
            for old, new in zip(self.room, (other.keys, other.values), strict=True):
                torch.index_select(old[:, :, cut : cut + columns], 0, index, out=new)
        return other

    def _room_like(self, states: Tensor) -> Tensor:
        return states.new_empty(self.texts, states.shape[1], self.columns, states.shape[3])


def roomy_cache(config: Any, texts: int, columns: int) -> Any:
    """An empty cache for a model; None where it keeps more than the keys and values of tokens."""
    cache: Any = DynamicCache(config=config)
    if {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}:
        return None
    cache.layers = [RoomyLayer(texts, columns) for _ in cache.layers]
    return cache


def repeat_cache(cache: Any, texts: int, more: int) -> Any:
    """What `roomy_cache` made and one text was read into, for so many that begin with it and have `more` tokens."""
    other: Any = DynamicCache()
    index = torch.zeros(texts, dtype=torch.int64, device=cache.layers[0].device)
    other.layers = [layer.taken(index, 0, more) for layer in cache.layers]
    return other


class KeptTexts:
    """Texts of which all but the newest token are read."""

    def __init__(self, model: LanguageModel, wide: WideUnembedding, *, flexible: bool):
        """`flexible`: texts of different lengths may be here, be repeated and leave, see `measure`."""
        self.model, self.wide, self.flexible = model, wide, flexible
        self.device = model.backbone.device
        names = inspect.signature(model.transformer.forward).parameters
        self.takes_positions = flexible and "position_ids" in names
        self.cache_name = cache_name(model.transformer)
        self.cache: Any = None
        self.mask = torch.zeros(0, 0, dtype=torch.int64, device=self.device)
        self.padded = False

    def read(
        self, prompts: Sequence[Sequence[int]], tokens: int
    ) -> Generator[bool, None, Float[Tensor, "texts vocabulary"]]:
        """Begin with these prompts, the longest first, of equal lengths unless `flexible`: the logits of what follows.

        Gives True after each forward pass but the last; a pass has about so many `tokens`, all where not `flexible`.
        """
        width = max(map(len, prompts))
        ids, mask = torch.zeros(2, len(prompts), width, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        self.padded = min(map(len, prompts)) < width
        ids, mask = ids.to(self.device), mask.to(self.device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        config: Any = self.model.transformer.config
        self.cache = roomy_cache(config, len(prompts), width) if self.flexible else DynamicCache(config=config)
        parts = max(PARTS if self.padded else 1, -(-len(prompts) * width // tokens)) if self.flexible else 1
        columns = -(-width // parts)
        for end in range(width % columns or columns, width, columns):
            self._read(ids, mask, positions, end)
            yield True
        return self._read(ids, mask, positions, width)

    def _read(self, ids: Tensor, mask: Tensor, positions: Tensor, end: int) -> Tensor:
        """The columns up to `end` that were not read, of the texts that begin before it."""
        part = slice(int(mask[:, end - 1].sum())), slice(self.mask.shape[1], end)
        self.mask = mask[part[0], :end]
        return self._logits(ids[part], positions[part])

    def append(
        self, tokens: Int[Tensor, " texts"], positions: Int[Tensor, " texts"]
    ) -> Float[Tensor, "texts vocabulary"]:
        """Read one more token of each text, its `positions`-th, counted from 0: the logits of what follows it."""
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        return self._logits(tokens[:, None], positions[:, None])

    def keep(self, index: Int[Tensor, " texts"], more: int) -> None:
        """Keep the texts at `index`, where one may be more than once, with room for so many `more` tokens."""
        mask = self.mask[index]
        cut = int(mask.any(0).int().argmax())  # columns that are empty in all of the texts go
        for number, layer in enumerate(self.cache.layers):  # one by one, so that no two copies of all are there
            self.cache.layers[number] = layer.taken(index, cut, more)
        self.mask = mask[:, cut:]
        self.padded = not bool(self.mask.all())

    @property
    def token_bytes(self) -> float:
        """Bytes of a token of a text."""
        tensors: list[Tensor] = [
            states for layer in self.cache.layers if layer.is_initialized for states in (layer.keys, layer.values)
        ]
        return sum(one.numel() * one.element_size() for one in tensors) / self.mask.numel()

    def _logits(self, ids: Tensor, positions: Tensor) -> Tensor:
        reading: dict[str, Any] = {self.cache_name: self.cache, "use_cache": True}
        if self.takes_positions:
            reading["position_ids"] = positions + self.model.backbone.first_position
        if self.padded:
            reading["attention_mask"] = self.mask
        return self.model.next_logits(ids, reading, self.wide)


def measure(model: LanguageModel, products: str, wide: WideUnembedding) -> Measured:
    """Whether two short texts of different lengths are continued as each alone is: half of the digits are the same.
    Measured once for a model; several ranks have to ask together.

    Raises ModelError where texts of one length are not either.
    """
    if model.measured is None:
        # Weights in 16 bits have states in 16 bits, whatever else computes.
        digits = max(DIGITS[products], torch.finfo(model.backbone.embedding.dtype).eps)
        same, size, apart, how = _try(model, wide, digits**0.5, flexible=True)
        if not same:
            log.info("%s continues texts of one length alone (%s)", type(model.transformer).__name__, how)
            right, size, apart, how = _try(model, wide, max(digits**0.5, FORGOTTEN), flexible=False)
            if any(map(math.isnan, apart)):
                raise ModelError(
                    f"model {model.backbone.folder}: its logits are not finite numbers. Lower finetune.lr, set "
                    "finetune.grad_clip=1.0 or finetune.precision=fp32; or its files are damaged."
                )
            if not right:
                raise ModelError(
                    f"model {model.backbone.folder}: {type(model.transformer).__name__} does not continue a text with "
                    f"what it keeps of earlier tokens as it continues the whole text ({how}), so what it writes would "
                    "be wrong. Use another model for generation, samples and critiques, or another release of "
                    "transformers."
                )
        model.measured = Measured(same, size)
    return model.measured


def _try(
    model: LanguageModel, wide: WideUnembedding, limit: float, *, flexible: bool
) -> tuple[bool, float, Sequence[float], str]:
    """(Whether all differences are below `limit`, on every rank; bytes of a token; the differences; the same, or what
    was in the way, in words)."""
    ranks = this_process()
    if flexible and roomy_cache(model.transformer.config, 1, 1) is None:
        return False, 0.0, [], "it keeps more than keys and values of tokens"
    try:
        with torch.no_grad():
            apart, size = _compare(model, wide, flexible=flexible)
    except torch.OutOfMemoryError:  # says nothing of the model
        raise
    except BROKEN as error:
        # What is wrong with the model all ranks meet at the same place; else others may be in the middle of a pass.
        if ranks.size > 1 and _is_of_device(error):
            raise
        return ranks.all_of(False), 0.0, [], str(error)
    # Not by the largest: nothing compares to NaN.
    same = all(one < limit for one in apart)
    return ranks.all_of(same), size, apart, "relative differences " + ", ".join(f"{one:.2g}" for one in apart)


def _is_of_device(error: Exception) -> bool:
    """Whether it may be one rank's alone: an error of its device, its files or of the network."""
    alone = (OSError, getattr(torch, "AcceleratorError", OSError), torch.distributed.DistError)
    return isinstance(error, alone) or "CUDA" in str(error)


def _compare(model: LanguageModel, wide: WideUnembedding, *, flexible: bool) -> tuple[list[float], float]:
    """(The relative differences of logits, bytes of a token) of two texts, read and then continued by two tokens."""
    texts = two_texts(len(model.backbone.embedding), model.backbone.pad_id, 7, 7)
    lengths = [5, 3 if flexible else 5]

    def tensor(numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=model.backbone.device)

    def whole(row: int, length: int) -> Tensor:
        return model.next_logits(tensor(texts[row][:length])[None], {"use_cache": False}, wide)[0]

    kept = KeptTexts(model, wide, flexible=flexible)
    reading, rows = kept.read([text[:length] for text, length in zip(texts, lengths, strict=True)], 6), [0, 1]
    found = [*zip(_end(reading), rows, lengths, strict=True)]
    size = kept.token_bytes if flexible else 0.0
    # Flexible texts are repeated and change places, then all but one leave.
    for step, index in enumerate(([1, 0, 1], [2])):
        if flexible:
            kept.keep(tensor(index), 2 - step)
            rows = [rows[place] for place in index]
        places = [lengths[row] + step for row in rows]
        tokens = [texts[row][place] for row, place in zip(rows, places, strict=True)]
        logits = kept.append(tensor(tokens), tensor(places))
        found += zip(logits, rows, [place + 1 for place in places], strict=True)
    # Not before: some models keep states of the newest text in themselves.
    return [_apart(logits, whole(row, length)) for logits, row, length in found], size


def _end(reading: Generator[bool, None, Tensor]) -> Tensor:
    """What a generator returns."""
    while True:
        try:
            next(reading)
        except StopIteration as done:
            return done.value


def _apart(found: Tensor, expected: Tensor) -> float:
    """By the deviation of the logits from their mean, which changes no probability and is large in some models."""
    return float((found - expected).norm() / (expected - expected.mean()).norm())
