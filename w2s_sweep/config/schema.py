"""Base of every configuration class: frozen, keyword-only, strict types, unknown keys refused."""

from typing import Any, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import ConfigDict

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def schema(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, strictly typed, keyword-only dataclass whose fields are documented by their docstrings."""
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)(cls)
    return made
