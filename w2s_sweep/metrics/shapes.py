"""Shapes of the arguments and results of the metrics; imported by type checkers and tests only."""

import numpy as np
from jaxtyping import Bool, Float, Integer, Real, Shaped

Probs = Float[np.ndarray, "examples classes"]
"""Predicted probabilities; rows sum to 1."""
Truth = Integer[np.ndarray, "examples"]
"""The true class of each example, 0..classes-1."""
Hits = Bool[np.ndarray, "examples"]
"""Whether each example is predicted correctly, or another yes or no."""
Flags = Float[np.ndarray, "examples"]
"""1 for yes, 0 for no, NaN where it is not known."""
PerExample = Real[np.ndarray, "examples"]
"""One number an example."""
Codes = Integer[np.ndarray, "examples"]
"""Rows with the same whole number, from 0, are the same example."""
Terms = Shaped[np.ndarray, "examples terms"]
"""What each example adds to each of several means; yes or no counts 1 or 0."""
Weights = Float[np.ndarray, "examples resamples"]
"""How often each resample of the test set holds each example; columns sum to the number of examples."""
PerResample = Float[np.ndarray, "resamples"]
"""A statistic of every resample; NaN where it is undefined."""
PerOutcome = Float[np.ndarray, "outcomes"]
"""The chance of each outcome; they sum to 1."""
Signs = Float[np.ndarray, "patterns differences"]
"""Patterns of +1 and -1."""
