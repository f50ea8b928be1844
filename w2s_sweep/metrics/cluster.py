"""A paired test of two students for metrics whose examples have an influence on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Codes, PerExample

SMALLEST = float(np.finfo(float).tiny)
"""No p-value is 0; smaller ones than a float can hold are given as this."""


def cluster_z_test(difference: float, changes: PerExample, examples: Codes) -> float:
    """Two-sided p of no difference, for large samples.

    `changes` [rows]: the influence of a row on the difference. `examples` [rows] tells rows of the same example by a
    whole number; they are added up (Obuchowski 1997), since students answer one example alike.
    """
    spread = math.sqrt(float((np.bincount(examples, changes) ** 2).sum()))
    if spread == 0:
        return 1.0 if difference == 0 else SMALLEST
    return math.erfc(abs(difference) / spread / math.sqrt(2))
