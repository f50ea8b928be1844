"""Modules of transformers that compute otherwise than their class says.

They get a class of their own, as FSDP does it. A function in the place of `forward` would hold the module that holds
it: such a circle keeps the weights of a model that is let go of, until Python looks for circles.
"""

from functools import cache
from typing import Any

from torch import nn


def change_forward(module: nn.Module, change: type[nn.Module]) -> None:
    """`module` computes the `forward` of `change` from now on, whose `super()` is what it was before."""
    module.__class__ = _changed(type(module), change)


def change_back(module: nn.Module) -> None:
    """As before the last `change_forward`."""
    _, module.__class__ = type(module).__bases__


@cache
def _changed(kind: type[nn.Module], change: type[nn.Module]) -> Any:
    return type(kind.__name__, (change, kind), {"__module__": kind.__module__})
