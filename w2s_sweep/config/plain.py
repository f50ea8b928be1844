"""Configuration objects to plain JSON and back; the two are inverse."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter


@cache
def adapter(annotation: Any) -> TypeAdapter[Any]:
    """Building one costs milliseconds, so each is built once."""
    return TypeAdapter(annotation)


def plain(value: Any) -> Any:
    """A configuration object as plain JSON."""
    return adapter(cast(Any, type(value))).dump_python(value, mode="json")


def from_plain(annotation: Any, value: Any) -> Any:
    """The configuration object of type `annotation` that `value` was made from."""
    return adapter(annotation).validate_json(json.dumps(value))


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names -> values; lists are values."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{prefix}.{name}" if prefix else name
        inner = cast(Mapping[str, Any], value) if isinstance(value, Mapping) else None
        flat |= flatten(inner, path) if inner else {path: value}
    return flat
