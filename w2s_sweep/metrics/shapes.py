"""Shapes of the arguments and results of the metrics; imported by type checkers and tests only."""

import numpy as np
from jaxtyping import Bool, Float, Integer

Probs = Float[np.ndarray, "examples classes"]
"""Predicted probabilities; rows sum to 1."""
Truth = Integer[np.ndarray, "examples"]
"""The true class of each example, 0..classes-1."""
Hits = Bool[np.ndarray, "examples"]
"""Whether each example is predicted correctly."""
Weights = Float[np.ndarray, "examples resamples"]
"""How often each resample of the test set holds each example; columns sum to the number of examples."""
PerResample = Float[np.ndarray, "resamples"]
"""A statistic of every resample; NaN where it is undefined."""
