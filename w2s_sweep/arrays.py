"""The type of every NumPy array whose shape a docstring or a `shapes.py` tells."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
