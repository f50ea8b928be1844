"""Names and values as trackers take them: flat, plain, and no longer than a service allows."""

import hashlib
from collections.abc import Mapping
from typing import Any

from w2s_sweep.config.plain import flatten


def join_names(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names joined with `/`."""
    return {name.replace(".", "/"): value for name, value in flatten(nested).items()}


def flat_numbers(nested: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Numbers and texts of a summary under flat names joined with `/`."""
    return {name: value for name, value in join_names(nested).items() if isinstance(value, bool | int | float | str)}


def shorten(name: str, limit: int) -> str:
    """A name of at most `limit` characters; what is cut off is told apart by a digest."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
