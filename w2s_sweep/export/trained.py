"""A trained stage of a store and what its weights belong to: found from the store alone, without torch."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.errors import StoreError, unknown
from w2s_sweep.kinds import KINDS
from w2s_sweep.kinds.base import Identity, Kind
from w2s_sweep.kinds.data import Data
from w2s_sweep.kinds.evaluate import Evaluate
from w2s_sweep.kinds.forward import Features, FeaturesFile
from w2s_sweep.kinds.labels import Pick
from w2s_sweep.kinds.recipes import FullRecipe, LoraRecipe
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.predictions import HEAD, WEIGHTS
from w2s_sweep.results.differ import read_side
from w2s_sweep.sources import fetch
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

CELL = re.compile(r"(?P<cell>.+/\d+)(:(?P<role>\w+))?")


@dataclass(frozen=True)
class Trained:
    """A finished stage that trained a classifier or a reward: a probe, a head with adapters, or a whole model."""

    store: Store
    key: str
    settings: Probe | Finetune
    inputs: Mapping[str, str]

    @cached_property
    def folder(self) -> Path:
        """The stage's folder, every digest checked."""
        return self.store.verify(self.key)

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        return read_json(self.folder / "summary.json") or {}

    @property
    def label(self) -> str:
        return str(self.summary.get("label", self.key))

    @property
    def recipe(self) -> str:
        """full, lora or probe."""
        match self.settings.finetune:
            case FullRecipe():
                return "full"
            case LoraRecipe():
                return "lora"
            case _:
                return "probe"

    @cached_property
    def features(self) -> Features | None:
        """What a probe reads."""
        if not isinstance(self.settings, Probe):
            return None
        found = settings_of(self.store, self.inputs["features"])
        if isinstance(found, FeaturesFile):
            raise StoreError(
                f"stage {self.key} ({self.label}) is a probe on a file of vectors: no model of it is known that could "
                f"read texts. Its weight, bias, mean and scale are in {self.folder / HEAD}."
            )
        assert isinstance(found, Features)
        return found

    @property
    def opens(self) -> Features | Finetune:
        """The settings that say what model it reads texts with."""
        if isinstance(self.settings, Finetune):
            return self.settings
        assert self.features is not None
        return self.features

    @cached_property
    def data(self) -> Data:
        """How its examples were made."""
        found = settings_of(self.store, self.inputs["data"])
        assert isinstance(found, Data)
        return found

    @cached_property
    def adapted(self) -> Path | None:
        """The weights that its model began from, where these are not the published ones."""
        inputs = self.inputs
        if isinstance(self.settings, Probe):
            inputs = self.store.preimage(self.inputs["features"])["inputs"]
        return self.store.verify(inputs["adapted"]) if "adapted" in inputs else None

    @cached_property
    def source(self) -> Source:
        """Where its model comes from, as a sweep of the store names it."""
        return source_of(self.store, self.opens.weights, self.key)

    @cached_property
    def model_folder(self) -> Path:
        """The published model on this machine, fetched where it is not here yet."""
        return fetch(self.source, self.opens.weights, "model")

    @cached_property
    def weights(self) -> Path:
        """The file that holds what was trained. StoreError where the stage kept no more than a head."""
        name = HEAD if isinstance(self.settings, Probe) else WEIGHTS
        if (self.folder / name).is_file():
            return self.folder / name
        raise StoreError(
            f"stage {self.key} ({self.label}) kept its head, not its weights. Full fine-tuning keeps them with "
            f"keep_weights=true, which changes no key: delete {self.folder}, then run the sweep again with it. That "
            "trains this stage alone again."
        )


def find_trained(store: Store, target: str) -> Trained:
    """The trained stage that `target` means: a key, leading digits of one, or SWEEP/CELL[:ROLE] (student by default).

    A ceiling that was picked among several is the one that was picked. Raises StoreError for what trained nothing.
    """
    key = _key_of(store, target)
    while True:
        settings, inputs = settings_of(store, key), store.preimage(key)["inputs"]
        store.verify(key)
        if isinstance(settings, Evaluate):
            key = inputs["trained"]
        elif isinstance(settings, Pick):
            key = (read_json(store.path(key) / "summary.json") or {})["stage"]
        elif isinstance(settings, Probe | Finetune):
            return Trained(store, key, settings, inputs)
        else:
            raise StoreError(_explain_untrained(store, key, settings, inputs))


def _key_of(store: Store, target: str) -> str:
    match = CELL.fullmatch(target)
    if match is None:
        return store.find(target)
    sweep = match["cell"].rpartition("/")[0]
    roles, role = read_side(store, match["cell"]).record["cells"][0]["roles"], match["role"] or "student"
    if role not in roles:
        raise StoreError(f"{target}: {unknown('role', role, roles)}")
    if not store.path(roles[role]).is_dir():
        raise StoreError(f"{target}: stage {roles[role]} is not finished. `w2s status {sweep}` says why.")
    return roles[role]


def _explain_untrained(store: Store, key: str, settings: Kind, inputs: Mapping[str, str]) -> str:
    made_of = "; ".join(f"{name} {one}" for name, one in inputs.items() if KINDS[_kind_of(store, one)].trains)
    rest = f"Name one of the stages that it is made of: {made_of}." if made_of else "Name a stage that trains one."
    return f"stage {key} is of kind {settings.kind}, which holds no classifier of its own. {rest}"


def _kind_of(store: Store, key: str) -> str:
    return str(store.preimage(key)["kind"])


def settings_of(store: Store, key: str) -> Kind:
    """The settings of a stage. StoreError where this release does not know them."""
    preimage = store.preimage(key)
    kind = KINDS.get(preimage["kind"])
    if kind is None:
        raise StoreError(f"stage {key} is of kind {preimage['kind']!r}, which this release does not know.")
    return from_plain(kind, preimage["settings"])


def source_of(store: Store, identity: Identity, key: str) -> Source:
    """The source that resolved to `identity` when a sweep of the store was submitted."""
    for record in _records(store):
        for one in record.get("sources", ()):
            if one["kind"] == "model" and one["identity"] == identity:
                return from_plain(Source, one["source"])
    raise StoreError(
        f"stage {key}: no sweep of {store.root} says where its model is ({identity}). Run a sweep that has the stage "
        "once more: it trains nothing, and records its sources."
    )


def _records(store: Store) -> Iterator[Mapping[str, Any]]:
    for name in store.sweeps():
        yield store.read_sweep(name)
    for path in (store.root / "sweeps").glob("*/earlier/*.json"):
        yield read_json(path) or {}
