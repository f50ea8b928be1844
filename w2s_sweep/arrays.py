"""The type of every NumPy array whose shape a docstring or a `shapes.py` gives."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
