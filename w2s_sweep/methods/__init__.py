"""The methods of weak-to-strong training; `AnyMethod` is the schema of the config group `method`.

Every module of this folder is imported, so a new method is a file of its own.
"""

from typing import Annotated

from w2s_sweep.config.choice import ByName
from w2s_sweep.methods.base import METHODS, Method
from w2s_sweep.registry import import_modules

__all__ = ["METHODS", "AnyMethod", "Method"]

AnyMethod = Annotated[Method, ByName(METHODS)]

import_modules(__name__, __path__)
