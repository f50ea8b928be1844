"""Which rows go together: the rows of an optimizer step follow from (n, batch size, epochs, seed) alone, and splitting
them into forward passes never changes what the step computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import torch
from torch import Tensor

Lengths = Sequence[int] | Mapping[int, int]
"""Row -> its number of tokens."""


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of range(n), int64, that depends on nothing but its arguments.

    Built on the raw bit stream, whose values NumPy guarantees across versions (those of `permutation` it does not).
    """
    draws = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return np.argsort(draws, kind="stable")


def optimizer_batches(n: int, batch_size: int, epochs: int, seed: int) -> list[np.ndarray]:
    """Row numbers of every optimizer step; each epoch visits each of the `n` rows once.

    An epoch is cut into ceil(n / batch_size) batches whose sizes differ by one at most, so that there is no tail batch
    of a row or two with the weight, and the batch statistics, of a whole one.
    """
    if n == 0:
        return []
    cuts = -(-n // batch_size)
    return [batch for epoch in range(epochs) for batch in np.array_split(epoch_order(n, seed, epoch), cuts)]


def micro_batches(lengths: Lengths, rows: Sequence[int], token_budget: int) -> list[list[int]]:
    """Split `rows` into forward passes of at most `token_budget` padded tokens (a longer row goes alone).

    `lengths[row]`: tokens of a row. Rows of like length go together, the longest first, so that what does not fit into
    memory shows at once. Rows of equal length keep their order.
    """
    groups: list[list[int]] = []
    width = 0
    for row in sorted(rows, key=lambda row: -lengths[row]):
        if groups and (len(groups[-1]) + 1) * width <= token_budget:
            groups[-1].append(row)
        else:
            groups.append([row])
            width = lengths[row]
    return groups


def packed_batches(lengths: Lengths, rows: Sequence[int], token_budget: int) -> list[list[int]]:
    """As `micro_batches`, for passes without padding: at most `token_budget` tokens, all of them real."""
    groups: list[list[int]] = []
    room = 0
    for row in sorted(rows, key=lambda row: -lengths[row]):
        if groups and lengths[row] <= room:
            groups[-1].append(row)
        else:
            groups.append([row])
            room = token_budget
        room -= lengths[row]
    return groups


@dataclass(frozen=True)
class Texts:
    """Where the texts of one packed row begin and end."""

    lengths: tuple[int, ...]
    """Tokens of each text, 1 or more."""
    bounds: Tensor
    """int32 [texts + 1]: the first token of each text, and the end of the last."""
    positions: Tensor
    """int64 [1, tokens]: the place of each token in its own text, from 0."""
    read: Tensor | None = None
    """int64: the tokens whose last states are read; None: any may be. See `models/last_block.py`."""

    def to(self, device: torch.device) -> "Texts":
        read = None if self.read is None else move(self.read, device)
        return Texts(self.lengths, move(self.bounds, device), move(self.positions, device), read)

    @property
    def ends(self) -> Tensor:
        """int64 [texts]: the last token of each text."""
        return self.bounds[1:].long() - 1


def pack(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Texts]:
    """(input_ids, attention_mask, texts): all texts one after the other, int64 [1, tokens], with a mask of ones."""
    lengths = tuple(map(len, ids))
    tokens = torch.tensor([list(chain.from_iterable(ids))], dtype=torch.int64)
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    return tokens, torch.ones_like(tokens), Texts(lengths, bounds, positions)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; to a GPU without waiting for it, which only page-locked memory allows."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """(input_ids, attention_mask), both int64 [rows, longest row], padded on the right.

    Padding is defined by the mask alone; `pad_id` may also occur as a real token.
    """
    width = max(map(len, ids))
    tokens = torch.full((len(ids), width), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, content in enumerate(ids):
        tokens[row, : len(content)] = torch.tensor(content, dtype=torch.int64)
        mask[row, : len(content)] = 1
    return tokens, mask
