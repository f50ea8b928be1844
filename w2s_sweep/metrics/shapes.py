"""Shapes of the arguments and results of the metrics; imported by type checkers and tests only."""

import numpy as np
from jaxtyping import Bool, Float, Integer, Real, Shaped

Probs = Float[np.ndarray, "*sets examples classes"]
"""Predicted probabilities of a set of examples, or of several sets; rows sum to 1."""
SeveralProbs = Float[np.ndarray, "sets examples classes"]
"""Probabilities of several sets of predictions."""
Truth = Integer[np.ndarray, "examples"]
"""The true class of each example, 0..classes-1."""
Hits = Bool[np.ndarray, "*sets examples"]
"""Whether each example is predicted correctly, or another yes or no."""
Flags = Float[np.ndarray, "*sets examples"]
"""1 for yes, 0 for no, NaN where it is not known."""
PerExample = Real[np.ndarray, "examples"]
"""One number an example."""
Scores = Real[np.ndarray, "*sets examples"]
"""One number an example, of a set of predictions or of several."""
SeveralScores = Real[np.ndarray, "sets examples"]
"""One number an example, of several sets of predictions."""
Classes = Integer[np.ndarray, "*sets examples"]
"""The class that each set of predictions says."""
Terms = Shaped[np.ndarray, "*sets examples terms"]
"""What each example adds to each of several means; yes or no counts 1 or 0."""
Signs = Float[np.ndarray, "patterns differences"]
"""Patterns of +1 and -1."""
Names = Shaped[np.ndarray, "_"]
"""Text: the name of each example's group."""
RowCodes = Integer[np.ndarray, "rows"]
"""A whole number from 0 for each row of a design, which may have several seeds."""
Rows = Float[np.ndarray, "rows"]
"""One number a row of a design."""
Sums = Shaped[np.ndarray, "*sets columns rows"]
"""Several numbers a row."""
Totals = Float[np.ndarray, "*sets columns codes"]
"""Their sums over the rows of each group, or of each group within a seed."""
Values = Shaped[np.ndarray, "*sets rows columns"]
"""The same, the numbers of a row side by side."""
Columns = Float[np.ndarray, "*sets columns"]
"""One number a column."""
Square = Float[np.ndarray, "*sets columns columns"]
"""A covariance of columns."""
Single = Float[np.ndarray, "*sets 1 1"]
"""The variance of one column."""
