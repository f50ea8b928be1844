"""Holm's correction for asking often: several p-values, one family."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Adjusted p-values under the same names: reject below alpha and the family-wise error is at most alpha.

    Holm (1979): the i-th smallest of m is multiplied by m - i + 1, then made monotone and capped at 1.
    """
    adjusted: dict[K, float] = {}
    floor = 0.0
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for rank, name in enumerate(ordered):
        floor = max(floor, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}
