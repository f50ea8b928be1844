"""Configuration objects to plain JSON and back; the two are inverse."""

import json
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
