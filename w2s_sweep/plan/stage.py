"""A stage is one unit of work; its key is the hash of everything that determines its result, and of nothing else.

Keys are stable across machines, launchers, users and releases: a change that would alter a result bumps the `version`
of the stage's kind; a new setting has the value at which it changes nothing as its default (`kinds.base.Hashed`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

from pydantic import ValidationError

from w2s_sweep.config.plain import from_plain, plain
from w2s_sweep.kinds import KINDS, Kind
from w2s_sweep.kinds.base import Hints, Json
from w2s_sweep.kinds.cost import Cost

KEY_DIGITS = 20
K = TypeVar("K", bound=Kind, covariant=True)


def canonical(value: Json) -> str:
    """The one JSON text of `value`: sorted keys, no white space, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Json) -> str:
    """The first `KEY_DIGITS` hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:KEY_DIGITS]


@dataclass(frozen=True)
class Stage(Generic[K]):
    """One unit of work of the graph."""

    settings: K
    """What determines its result, beside the results that it reads."""
    inputs: Mapping[str, str]
    """Name -> key of the stages whose results it reads."""
    hints: Hints = field(compare=False)
    """What the job needs but what cannot change the result: never hashed."""

    def __post_init__(self) -> None:
        self.settings.check_inputs(self.inputs)

    @property
    def kind(self) -> str:
        return self.settings.kind

    @property
    def label(self) -> str:
        """What tables and logs call it."""
        return self.hints.label

    @property
    def part(self) -> str:
        """The role it plays, or where it plays none its kind."""
        return self.hints.role or self.kind

    @cached_property
    def preimage(self) -> dict[str, Json]:
        """What is hashed, readable; stored beside the result."""
        return {
            "kind": self.kind,
            "version": self.settings.version,
            "settings": self.settings.hashed_settings(),
            "inputs": dict(self.inputs),
        }

    @cached_property
    def key(self) -> str:
        return digest(self.preimage)

    @cached_property
    def cost(self) -> Cost:
        """How much work it is, estimated before anything was read."""
        return self.settings.cost(self.hints)

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "settings": self.settings.hashed_settings(),
            "inputs": dict(self.inputs),
            "hints": plain(self.hints),
            "key": self.key,
        }

    @staticmethod
    def from_json(spec: Mapping[str, Json]) -> "Stage[Kind]":
        """The stage of a spec file; refuses one whose key this release would compute differently."""
        other = f"stage {spec['key']} was planned by another release: {{}}. Submit the sweep again."
        if spec["kind"] not in KINDS:
            raise ValueError(other.format(f"this one has no kind {spec['kind']!r}"))
        try:
            settings = from_plain(KINDS[spec["kind"]], spec["settings"])
            stage = Stage(settings, spec["inputs"], from_plain(Hints, spec["hints"]))
        except ValidationError as error:
            wrong = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
            raise ValueError(other.format(f"this one reads {', '.join(wrong)} otherwise")) from error
        if stage.key != spec["key"]:
            raise ValueError(other.format(f"this one computes key {stage.key}"))
        return stage


def differences(left: Json, right: Json, path: str = "") -> list[tuple[str, Json, Json]]:
    """Where two preimages differ: (dotted path, value on the left, value on the right); `None` where absent."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        rows: list[tuple[str, Json, Json]] = []
        names: set[str] = {*left, *right}  # pyright: ignore[reportUnknownArgumentType]
        for name in sorted(names):
            inner = f"{path}.{name}" if path else name
            rows += differences(left.get(name), right.get(name), inner)  # pyright: ignore[reportUnknownMemberType]
        return rows
    return [] if left == right else [(path, left, right)]
