"""How much memory texts that are continued together take; loads no torch, since plans count it too."""

LEAST = 2**26
"""Bytes of keys, values and logits that any process has, however small its model."""
SHARE = 8
"""They have one in so many bytes of a GPU at most."""


def bytes_for_texts(weights: float, device: float | None) -> float:
    """For the keys, values and logits of texts beside a model whose weights take `weights` bytes of this device, which
    has `device` bytes in all; None where it is the CPU.

    As much as the weights, which is there: weights are loaded through the host. A token more for each text reads both
    once, so more texts would take half as long for each at best. Of a GPU they have a share of all its memory, whatever
    else is there now: the same work is done in the same batches.
    """
    wanted = max(LEAST, weights)
    return wanted if device is None else min(wanted, device / SHARE)
