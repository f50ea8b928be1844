"""Texts as the tensors of a forward pass: in one row without padding where the model reads that, else padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from w2s_sweep.data.batches import Texts, micro_batches, move, pack, packed_batches, pad
from w2s_sweep.models.throughput import Throughput

if TYPE_CHECKING:
    from jaxtyping import Int

    from w2s_sweep.models.ranks import Ranks


@dataclass(frozen=True)
class Batch:
    """What a model reads; `texts` where it is packed."""

    ids: Int[Tensor, "batch tokens"]
    mask: Int[Tensor, "batch tokens"]
    texts: Texts | None


class Collator:
    """Batches for one model on one device, and a count of what padding cost."""

    def __init__(self, pad_id: int, device: torch.device, *, packs: bool):
        self.pad_id, self.device, self.packs = pad_id, device, packs
        self.computed = 0
        """Tokens of the batches so far, padding included."""
        self.read = Throughput()
        """The real ones of them; their seconds are taken by whoever computes them."""
        self.padded = not packs
        """Whether any batch is padded."""

    def split(self, lengths: Sequence[Sequence[int]], rows: Sequence[int], token_budget: int) -> list[list[int]]:
        """`rows` in forward passes of at most `token_budget` tokens; `lengths[row]`: tokens of each text of a row."""
        if self.packs:
            return packed_batches({row: sum(lengths[row]) for row in rows}, rows, token_budget)
        return micro_batches({row: len(lengths[row]) * max(lengths[row]) for row in rows}, rows, token_budget)

    def batch(self, texts: Sequence[Sequence[int]], *, padded: bool = False) -> Batch:
        """The texts, on the device; `padded` even where the model reads packed ones."""
        self.padded |= padded
        ids, mask, where = pack(texts) if self.packs and not padded else (*pad(texts, self.pad_id), None)
        self.read.add(map(len, texts))
        self.computed += mask.numel()
        on_device = None if where is None else where.to(self.device)
        return Batch(move(ids, self.device), move(mask, self.device), on_device)

    def count(self, texts: Sequence[Sequence[int]], computed: int) -> None:
        """Count texts of a batch that another collator made; `computed`: tokens of it that they took, with padding."""
        self.padded |= not self.packs
        self.read.add(map(len, texts))
        self.computed += computed

    def from_starts(self, starts: Sequence[int], batch: Batch) -> Int[Tensor, "batch tokens"]:
        """1 for the real tokens of each text from its start on."""
        first = torch.tensor(starts)
        if batch.texts is None:
            return batch.mask * (
                torch.arange(batch.ids.shape[1], device=self.device) >= move(first, self.device)[:, None]
            )
        each = first.repeat_interleave(torch.tensor(batch.texts.lengths))
        return (batch.texts.positions >= move(each, self.device)).long()

    def add_ranks(self, ranks: Ranks) -> None:
        """Count what all ranks read, each with other rows; every rank has to ask."""
        read = self.read
        counts = ranks.total(self.computed, read.tokens, read.texts, read.squares, self.padded)
        self.computed, read.tokens, read.texts, read.squares = map(int, counts[:4])
        self.padded = counts[4] > 0

    def summary(self) -> dict[str, str | float | None]:
        """For a stage's summary: how its batches were made, and which share of what they computed was padding."""
        share = 1 - self.read.tokens / self.computed if self.computed else None
        return {"batches": "padded" if self.padded else "packed", "padding": share}
