"""Every function of the metrics checks the shapes that it is annotated with, in the whole test run.

The modules import the names of shapes for type checkers only, since a sweep runs without jaxtyping. What they import
besides is loaded here first, with the flag as it is.
"""

import typing

import numpy as np
import scipy.special
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

from w2s_sweep import arrays, registry

LOADED = (np, scipy.special, arrays, registry)
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""As type checkers do, it takes a whole number for a float."""


def install() -> None:
    """Import the metrics with checks, before anything else imports them."""
    typing.TYPE_CHECKING = True
    try:
        with install_import_hook("w2s_sweep.metrics", f"{__name__}.check"):
            import w2s_sweep.metrics  # noqa: F401
    finally:
        typing.TYPE_CHECKING = False
