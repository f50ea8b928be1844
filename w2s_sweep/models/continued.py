"""The rows of one process that are being continued: which of them are in the batch, and how far each is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from w2s_sweep.errors import ModelError
from w2s_sweep.models.device import memory_bytes
from w2s_sweep.models.kept_texts import KeptTexts
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.ranks import this_process

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger(__name__)

LOOK = 16
"""Passes between two reports of progress."""
ENDED = 8
"""Rows that have ended leave when they are one in so many of the batch: each time, the others are copied."""
FREE = 4
"""Others begin when one in so many of the places is free."""
LEAST = 2**26
"""Bytes of keys and values that any process has, however small its model."""
BUSY = 512
"""Tokens of a pass that keep a device busy, so that shorter prompts may have a pass of their own ..."""
SHORT = 0.75
"""... where they are shorter than this share of the longest."""


@dataclass(frozen=True)
class Wanted:
    """How texts are continued."""

    most: int
    """Tokens at most."""
    end: int
    """The token that ends a text."""
    temperature: float = 1.0


@dataclass(frozen=True)
class Room:
    """What a batch may be."""

    rows: int
    """Rows that are continued at the same time."""
    tokens: int
    """Tokens of a pass that begins rows."""


def room_of(model: LanguageModel, measured: Measured, longest: int, token_budget: int) -> Room:
    """`longest`: tokens of the longest row, with what follows it; `token_budget`: tokens of a forward pass.

    Keys and values may take as much memory as the weights do, which is there: weights are loaded through the host. A
    token more for each row reads both once, so more rows would take half as long for each at best. Of a GPU that is at
    most half of what is free.
    """
    if not measured.flexible:
        return Room(max(1, token_budget // longest), token_budget)
    held = float(max(LEAST, sum(weight.numel() * weight.element_size() for weight in model.parameters())))
    there = memory_bytes(model.backbone.device)
    if there is not None:
        held = min(held, (there - torch.cuda.memory_allocated(model.backbone.device)) / 2)
    return Room(max(1, min(int(held / measured.token_bytes / longest), token_budget)), token_budget)


@dataclass(frozen=True)
class _Asked:
    """Samples of one prompt that are to be drawn."""

    row: int
    first: int
    count: int


@dataclass
class _Batch:
    """Rows that were begun."""

    kept: KeptTexts
    slots: Int[Tensor, " rows"]
    """Place in the result: number of the prompt x samples + number of the sample."""
    lengths: Int[Tensor, " rows"]
    """Tokens of the prompt."""
    written: Int[Tensor, " rows"]
    """Tokens that follow so far."""
    newest: Int[Tensor, " rows"]
    """The last of these."""
    done: Tensor
    """bool [rows]."""
    live: int = 0
    """How many of the rows have not ended."""

    def of(self, index: Tensor) -> list[Tensor]:
        return [part[index] for part in (self.slots, self.lengths, self.written, self.newest, self.done)]


class Continued:
    """Prompts of one process, and what follows them."""

    def __init__(
        self,
        model: LanguageModel,
        prompts: Sequence[Sequence[int]],
        draws: Float[Tensor, "rows most"] | None,
        count: int,
        wanted: Wanted,
        flexible: bool,
        room: Room,
        wide: WideUnembedding,
    ):
        """`count` samples of each prompt; `draws`: uniform numbers that tokens are drawn by, None takes the likeliest.
        `flexible`: see `kept_texts.measure`."""
        self.model, self.prompts, self.draws, self.count, self.wanted = model, prompts, draws, count, wanted
        self.flexible, self.room, self.wide = flexible, room, wide
        self.device = model.backbone.device
        self.ranks = this_process()
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
        self.waiting = [_Asked(row, 0, count) for row in order]
        self.batch: _Batch | None = None
        # `end` everywhere, so that nothing follows a text that has ended.
        self.found = torch.full((len(prompts) * count, wanted.most), wanted.end, dtype=torch.int64, device=self.device)

    def run(self, on_progress: Callable[[int], None]) -> Int[Tensor, "prompts samples most"]:
        """What follows, filled with the end; `on_progress` gets the number of prompts that are done, of all ranks."""
        passes = 0
        while not self.ranks.all_of(not self.waiting and self.batch is None):
            self._pass()
            passes += 1
            if passes % LOOK == 0:
                left = sum(asked.count for asked in self.waiting) + (0 if self.batch is None else self.batch.live)
                on_progress(int(self.ranks.total(len(self.found) - left)[0]) // self.count)
        return self.found.view(len(self.prompts), self.count, -1)

    def _pass(self) -> None:
        """One forward pass, whatever is to be done: ranks have to make as many."""
        begun, batch = self._next(), self.batch
        try:
            if begun:
                self._begin(begun)
            elif batch is not None:
                self._go_on(batch)
            else:
                self.model.next_logits(torch.zeros(1, 1, dtype=torch.int64, device=self.device), {}, self.wide)
            return
        except torch.OutOfMemoryError as error:
            reason = str(error)
            if self.ranks.size > 1:  # the others are in the middle of this pass
                raise
        # Here and not above: an exception that is handled keeps the frames, and with them the tensors, alive.
        self._make_smaller(begun, reason)

    def _next(self) -> list[_Asked]:
        """What is to begin now; taken out of those that wait."""
        live = 0 if self.batch is None else self.batch.live
        free = self.room.rows - live
        if not self.waiting or (live and (not self.flexible or free * FREE < self.room.rows)):
            return []
        width = len(self.prompts[self.waiting[0].row])
        passes = max(1, self.room.tokens // width)  # prompts of a pass; the longest waits first
        begun: list[_Asked] = []
        while self.waiting and free > 0 and len(begun) < passes:
            asked = self.waiting[0]
            length = len(self.prompts[asked.row])
            if length < width and (not self.flexible or (len(begun) * width >= BUSY and length < SHORT * width)):
                break
            taken = min(free, asked.count)
            if taken < asked.count and begun:
                break  # a prompt is read once where all of its samples have room
            rest = _Asked(asked.row, asked.first + taken, asked.count - taken)
            self.waiting[:1] = [rest] if rest.count else []
            begun.append(_Asked(asked.row, asked.first, taken))
            free -= taken
        return begun

    def _begin(self, begun: Sequence[_Asked]) -> None:
        """Read prompts, and let them join the batch, each as often as samples are asked for."""
        kept = KeptTexts(self.model, self.wide, flexible=self.flexible)
        counts = torch.tensor([asked.count for asked in begun])
        each = torch.arange(len(begun)).repeat_interleave(counts)
        prompts = [self.prompts[asked.row] for asked in begun]
        if self.flexible:
            logits = kept.read(prompts)[each.to(self.device)]
        else:
            logits = kept.read([prompts[place] for place in each])
        slots = [asked.row * self.count + asked.first + number for asked in begun for number in range(asked.count)]
        lengths = torch.tensor([*map(len, prompts)])[each].to(self.device)
        zeros = torch.zeros_like(lengths)
        batch = _Batch(kept, torch.tensor(slots, device=self.device), lengths, zeros, zeros, zeros.bool())
        self._write(batch, logits)
        if self.flexible:
            self._join(batch, each.to(self.device))
        else:
            self.batch = batch if batch.live else None

    def _go_on(self, batch: _Batch) -> None:
        """One more token of every row of the batch."""
        if self.flexible and (len(batch.slots) - batch.live) * ENDED >= len(batch.slots):
            self._join(None, None)
        # A row that has ended stays where it is, so its position is one that the model has.
        self._write(batch, batch.kept.append(batch.newest, batch.lengths + batch.written - 1))
        if not batch.live:
            self.batch = None

    def _write(self, batch: _Batch, logits: Tensor) -> None:
        """Choose the next token of each row that has not ended."""
        most = self.wanted.most
        place = batch.written.clamp(max=most - 1)
        if self.draws is None:
            tokens = logits.argmax(1)
        else:
            tokens = draw(logits / self.wanted.temperature, self.draws[batch.slots, place])
        before = self.found[batch.slots, place]
        self.found[batch.slots, place] = torch.where(batch.done, before, tokens)
        batch.newest, batch.written = tokens, batch.written + ~batch.done
        batch.done = batch.done | (tokens == self.wanted.end) | (batch.written >= most)
        batch.live = len(batch.done) - int(batch.done.sum())

    def _join(self, new: _Batch | None, texts: Tensor | None) -> None:
        """Rows that have ended leave the batch, and others join it: `texts` of what they keep belong to its rows."""
        old = self.batch
        left = [batch for batch in (old, new) if batch is not None and batch.live]
        if not left:
            self.batch = None
            return
        live = [(~batch.done).nonzero()[:, 0] for batch in left]
        kept = [
            index if batch is old or texts is None else texts[index] for batch, index in zip(left, live, strict=True)
        ]
        first = left[0]
        first.kept.join(kept[0], *((None, kept[0]) if len(left) == 1 else (left[1].kept, kept[1])))
        columns = zip(*(batch.of(index) for batch, index in zip(left, live, strict=True)), strict=True)
        first.slots, first.lengths, first.written, first.newest, first.done = map(torch.cat, columns)
        first.live = len(first.slots)
        self.batch = first

    def _make_smaller(self, begun: Sequence[_Asked], reason: str) -> None:
        """Memory was too small: half as many rows, and what had begun begins anew, with the same numbers."""
        batch, self.batch = self.batch, None
        rows = sum(asked.count for asked in begun) + (0 if batch is None else len(batch.slots))
        if rows <= 1:
            raise ModelError(
                "out of memory: a single text cannot be continued. Lower dataset.max_tokens or max_new_tokens, or ask "
                f"for a larger GPU. {reason}"
            )
        log.warning("out of memory: %d rows are continued at a time instead of %d. %s", rows // 2, rows, reason)
        live = [] if batch is None else batch.slots[~batch.done].tolist()
        again = [*begun, *(_Asked(slot // self.count, slot % self.count, 1) for slot in live)]
        self.waiting = sorted([*again, *self.waiting], key=lambda asked: -len(self.prompts[asked.row]))
        self.room = Room(rows // 2, max(1, self.room.tokens // 2))
        del batch
        torch.cuda.empty_cache()  # does nothing where no GPU is in use


def draw(logits: Tensor, draws: Tensor) -> Tensor:
    """int64 [rows]: the token whose part of the cumulated probability holds the uniform number of its row."""
    shares = logits.double().softmax(1).cumsum(1)
    return torch.searchsorted(shares, draws[:, None].contiguous(), right=True)[:, 0].clamp(max=logits.shape[1] - 1)
