"""Shapes of the arguments and results of the losses; imported by type checkers and tests only, since it loads torch."""

from jaxtyping import Float
from torch import Tensor

Scores = Float[Tensor, "batch classes"]
"""One row per example of the optimizer batch, one column per class."""
PerExample = Float[Tensor, "batch"]
Stacked = Float[Tensor, "batch twice_classes"]
"""Two arrays of soft labels side by side."""
