"""A field that is one of the classes of a registry, told apart by `name`; what registers later is a choice as well."""

import json
from functools import cache, lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from w2s_sweep.config.plain import adapter, plain
from w2s_sweep.errors import RegistrationError
from w2s_sweep.registry import Registry


class ByName:
    """Metadata of such a field, as in `Annotated[Loss, ByName(LOSSES)]`.

    The union of the classes is built when a value is first looked at, and anew after a registration. Errors are those
    of a union with the discriminator `name`.
    """

    def __init__(self, registry: Registry[Any]):
        self.registry = registry

    def parse(self, value: Any) -> Any:
        """An instance of one of the classes, also of its settings as plain JSON; raises pydantic's ValidationError."""
        if type(value) in self.registry.values():
            return value
        return _parse(self.registry.values(), json.dumps(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse, serialization=core_schema.plain_serializer_function_ser_schema(plain)
        )


@lru_cache(10_000)  # cells of a grid repeat few of them, and instances are frozen
def _parse(classes: tuple[type, ...], text: str) -> Any:
    return _union(classes).validate_json(text)


@cache
def _union(classes: tuple[type, ...]) -> TypeAdapter[Any]:
    for cls in classes:
        _require_form(cls)
    form: Any = Annotated  # built at run time, out of the reach of type checkers
    union: Any = Union
    return adapter(form[union[classes], Field(discriminator="name")])


def _require_form(cls: type) -> None:
    """RegistrationError for a class that cannot be a member of the union."""
    place, name = f"{cls.__qualname__} of {cls.__module__}", vars(cls)["name"]
    if "__pydantic_validator__" not in vars(cls):
        raise RegistrationError(f"{place}: is no schema. Put @schema (of w2s_sweep.config.schema) above it.")
    if get_args(get_type_hints(cls)["name"]) != (name,):
        raise RegistrationError(f'{place}: `name` needs its one value as type: name: Literal["{name}"] = "{name}".')


def classes_of(annotation: Any) -> list[type]:
    """The classes that a value of this type, or its parts, may be instances of."""
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, ByName):
            return list(extra.registry.values())
    if get_origin(annotation) is Annotated:
        return classes_of(annotation.__origin__)
    if inner := get_args(annotation):
        return [cls for part in inner for cls in classes_of(part)]
    return [annotation] if isinstance(annotation, type) else []
