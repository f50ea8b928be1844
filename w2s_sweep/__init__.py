"""Weak-to-strong generalization sweeps as one deduplicated graph of fine-tuning stages.

From Python: `sweep = w2s_sweep.load("demo")`, `sweep = w2s_sweep.run(["experiment=demo"])`. Importing this package
loads neither torch nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from w2s_sweep.version import __version__

if TYPE_CHECKING:
    from w2s_sweep.api import Sweep, load, run

__all__ = ["Sweep", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("w2s_sweep.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
