"""The kinds of stages by name. One class has all that planning knows of a kind, `w2s_sweep.stages` what it does."""

from collections.abc import Iterator, Mapping

from w2s_sweep.kinds.base import Kind
from w2s_sweep.registry import import_modules

__all__ = ["KINDS", "TRAINED", "Kind"]


def _kinds(part: type[Kind]) -> Iterator[type[Kind]]:
    for cls in part.__subclasses__():
        yield from _kinds(cls)
        if cls.kind:
            yield cls


import_modules(__name__, __path__)
KINDS: Mapping[str, type[Kind]] = {cls.kind: cls for cls in _kinds(Kind)}
"""Name -> class."""
TRAINED = frozenset(name for name, cls in KINDS.items() if cls.trains)
"""Kinds that train something and publish predictions."""
