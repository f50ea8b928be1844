"""Which rows go together: the rows of an optimizer step follow from (n, batch size, epochs, seed) alone, and splitting
them into forward passes never changes what the step computes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


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


def micro_batches(lengths: Sequence[int], rows: Sequence[int], token_budget: int) -> list[list[int]]:
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
