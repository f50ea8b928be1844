"""A stage is one unit of work; its key is the hash of everything that determines its result, and of nothing else.

Keys are stable across machines, launchers, users and releases: a change that would alter a result bumps the stage's
version in `VERSIONS`; a new setting whose neutral value changes nothing is registered in `NEUTRAL`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

Json = Any
"""A value that canonical JSON can hold."""

Kind = Literal[
    "data",
    "features",
    "probe",
    "finetune",
    "combine",
    "filter",
    "reveal",
    "relabel",
    "select",
    "weigh",
    "prompt",
    "annotate",
    "calibrate",
    "elicit",
    "correct",
    "route",
    "adapt",
    "generate",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

VERSIONS: Mapping[Kind, int] = {
    "data": 1,
    "features": 1,
    "probe": 1,
    "finetune": 1,
    "combine": 1,
    "filter": 1,
    "reveal": 1,
    "relabel": 1,
    "select": 1,
    "prompt": 1,
    "annotate": 1,
    "calibrate": 1,
    "elicit": 2,
    "correct": 1,
    "route": 1,
    "weigh": 1,
    "adapt": 1,
    "generate": 2,
}
"""Bumped by hand whenever the code of a kind would give another result for the same settings."""

NEUTRAL: Mapping[Kind, Mapping[str, Json]] = {
    "data": {"task_version": None},
    "features": {"texts": "one"},
    "probe": {
        "portion": None,
        "unlabelled": "refuse",
        "also_predict": [],
        "conflict": 0.0,
        "mixed": None,
        "early_stopping": None,
    },
    "finetune": {
        "portion": None,
        "unlabelled": "refuse",
        "also_predict": [],
        "conflict": 0.0,
        "mixed": None,
        "early_stopping": None,
        "reward": "head",
        "beta": None,
    },
    "combine": {},
    "filter": {},
    "reveal": {"opposite": False},
    "relabel": {},
    "select": {},
    "prompt": {"pair": None},
    "annotate": {"pair": None},
    "calibrate": {},
    "elicit": {},
    "correct": {},
    "route": {},
    "weigh": {},
    "adapt": {},
    "generate": {"portion": None},
}
"""Settings added after a kind was released, with the value at which they change nothing: dropped before hashing."""

TRAINED: frozenset[Kind] = frozenset({"probe", "finetune", "generate"})
"""Kinds that train something and publish predictions."""

LABELLING: frozenset[Kind] = frozenset(
    {"combine", "filter", "reveal", "relabel", "select", "weigh", "calibrate", "elicit", "correct", "route"}
)
"""Kinds that make labels out of labels, without a model of their own; they publish predictions too."""

KEY_DIGITS = 20


def canonical(value: Json) -> str:
    """The one JSON text of `value`: sorted keys, no white space, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Json) -> str:
    """The first `KEY_DIGITS` hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:KEY_DIGITS]


@dataclass(frozen=True)
class Stage:
    """One unit of work of the graph."""

    kind: Kind
    settings: Mapping[str, Json]
    """What the stage reads and what determines its result, as plain JSON."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name -> key of the stages whose results it reads."""
    run: Mapping[str, Json] = field(default_factory=dict[str, Json], compare=False)
    """What the job needs but what cannot change the result (label, sources to open, micro-batch size): never hashed."""

    @cached_property
    def preimage(self) -> dict[str, Json]:
        """What is hashed, readable; stored beside the result."""
        neutral = NEUTRAL[self.kind]
        settings = {k: v for k, v in self.settings.items() if k not in neutral or v != neutral[k]}
        return {
            "kind": self.kind,
            "version": VERSIONS[self.kind],
            "settings": settings,
            "inputs": dict(self.inputs),
        }

    @cached_property
    def key(self) -> str:
        return digest(self.preimage)

    @property
    def label(self) -> str:
        """What tables and logs call it."""
        return str(self.run.get("label", self.kind))

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
            "run": dict(self.run),
            "key": self.key,
        }

    @classmethod
    def from_json(cls, spec: Mapping[str, Json]) -> "Stage":
        """The stage of a spec file; refuses one whose key this release would compute differently."""
        stage = cls(kind=spec["kind"], settings=spec["settings"], inputs=spec["inputs"], run=spec["run"])
        if stage.key != spec["key"]:
            raise ValueError(
                f"stage {spec['key']} was planned by another release: this one computes key {stage.key}. "
                "Submit the sweep again."
            )
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
