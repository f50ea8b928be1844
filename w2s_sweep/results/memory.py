"""What many numbers cost beside their arithmetic: cycles that are looked for, and memory that is fetched anew."""

import ctypes
import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
LARGEST = 2**25
"""Bytes of an array that is made in memory which was used before: the most that every release takes."""


def no_garbage_collection(function: F) -> F:
    """Do not look for cycles in a function: it makes few, and a million small things that last, which would be gone
    through again and again (a tenth of the time of many cells). Or it makes many, which all last until it ends, as the
    parts of a figure do: they are found at once when it has."""

    @wraps(function)
    def without(*args: Any, **kwargs: Any) -> Any:
        was = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if was:
                gc.enable()

    return cast(F, without)


@contextmanager
def set_objects_aside() -> Generator[None]:
    """Within, what there is so far is not looked through for cycles: a million things of a large sweep that last. Those
    of what is made within are found: a figure is many."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_freed_memory() -> None:
    """Have this process use freed memory again instead of giving it back, where its C library is GNU's.

    Arrays of some megabytes are made and freed by the thousand; each would be new pages, which the kernel fills with
    zeros first (a tenth of the time of many cells). The process takes no more memory at its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Trimming alone would be worse than nothing: it fixes the first threshold at a small value.
    if mallopt is not None and mallopt(MMAP_THRESHOLD, LARGEST) == 1:
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
