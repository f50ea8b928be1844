"""What the files of a model say of it: those of a folder, of an adapter's base, or of a repository of the hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.read import is_mapping
from w2s_sweep.config.source import HubSource, LocalSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.adapter import explain_nested, is_adapter, source_of
from w2s_sweep.sources.hub_model import describe
from w2s_sweep.sources.local import existing
from w2s_sweep.sources.model_facts import Facts, read_facts
from w2s_sweep.sources.model_folder import require_model

Settings = dict[str, Any]
ROLES = ("weak", "strong")
SMALL = 500e6
"""Parameters below which full fine-tuning takes the larger of the two usual learning rates."""
MISSING = "???"
LEFT_OPEN = ("name", "params", "layers", "hidden", "pooling", "lora_targets", "label_words", "lr_full")
"""What the hub's files say of a model that is named by its repository alone."""
EXACT = ("layers", "hidden")
CLOSE = 0.05
"""How far a number of parameters that was set may be from that in the files, which counts no head."""


def is_open(model: Mapping[str, Any]) -> bool:
    """Whether it is left open what the files of a model say of it."""
    return MISSING in (model.get(name) for name in LEFT_OPEN)


def is_undescribed(model: Mapping[str, Any]) -> bool:
    """Whether a file of a model of the hub, as that of `strong=OWNER/NAME`, leaves open what the hub says of it."""
    source = model.get("source")
    on_hub = is_mapping(source) and source.get("kind") == "hub" and source.get("repository") != MISSING
    return on_hub and is_open(model)


def fill(model: Mapping[str, Any], derived: Mapping[str, Any]) -> Settings:
    """A model with what is derived for what is open."""
    return {**model, **{name: value for name, value in derived.items() if model.get(name) == MISSING}}


@dataclass
class Descriptions:
    """What is found out of the models of a sweep: files are read once, what is wrong is kept."""

    names: Mapping[str, str]
    """Repository -> what tables call it."""
    facts: dict[str, Facts] = field(default_factory=dict[str, Facts])
    """Folder -> what its files say."""
    hub: dict[str, Facts | Path] = field(default_factory=dict[str, Facts | Path])
    """Repository and revision -> what its files say, or the folder of the adapter that it holds."""
    problems: dict[str, None] = field(default_factory=dict[str, None])
    """Each once, in the order in which they were met."""

    def read(self, path: str, model: Mapping[str, Any], where: str, described: bool = False) -> Facts | None:
        """What the files at a path say, of an adapter those of its base; None where that is on the hub and the command
        has `described` it, and with a problem. `where`: what names the model, `model@strong` or `method.chain`."""
        try:
            return self._read(path, model, where, described)
        except SourceError as error:
            self.problems[f"{where}: {error}"] = None
            return None

    def _read(self, path: str, model: Mapping[str, Any], where: str, described: bool) -> Facts | None:
        folder = existing(LocalSource(path=path))
        if is_adapter(folder):
            base = source_of(path, model.get("base")).base
            if isinstance(base, HubSource):
                called = str(model["source"]["repository"]) if is_undescribed(model) else path
                return None if described else self._base_on_hub(called, base, where, model)
            folder = existing(base)
        if str(folder) not in self.facts:
            require_model(folder)
            self.facts[str(folder)] = read_facts(folder)
        return self.facts[str(folder)]

    def _base_on_hub(self, path: str, base: HubSource, where: str, model: Mapping[str, Any]) -> Facts:
        on = f"{path} is an adapter on {base.repository} of the hub"
        try:
            found = self._ask_hub(base)
        except SourceError as error:
            raise SourceError(f"{on}: {error} {_advise(where, model)}") from error
        if isinstance(found, Path):
            raise SourceError(f"{on}, which {explain_nested(_base_field(where))}")
        return found

    def _ask_hub(self, source: HubSource) -> Facts | Path:
        where = f"{source.repository} at {source.revision}"
        if where not in self.hub:
            self.hub[where] = describe(source)
        return self.hub[where]

    def on_hub(self, where: str, model: Mapping[str, Any]) -> Settings:
        """A model of the hub with all that was left open; an adapter there is fetched, and is its base with it."""
        try:
            source: HubSource = from_plain(HubSource, model["source"])
            facts = self._ask_hub(source)
        except (SourceError, ValidationError) as error:
            self.problems[f"{where}: {error}"] = None
            return dict(model)
        if isinstance(facts, Path):
            model = {**model, "path": str(facts)}
            facts = self.read(str(facts), model, where)
        by, of = where.removeprefix("model@"), f"{source.repository} at {source.revision}"
        return self.complete(by, model, facts, of, self.names[source.repository])

    def complete(self, by: str, model: Mapping[str, Any], facts: Facts | None, of: str, name: str) -> Settings:
        """A model with what its files say of all that is open, and compared with them in the rest; as it is where no
        facts are known. `by`: what set the rest; `of`: where the files are; `name`: what tables call it."""
        if facts is None:
            return dict(model)
        self.compare(by, model, facts, of, (*EXACT, "params") if is_open(model) else EXACT)
        return fill(model, derive_fields(name, facts))

    def compare(self, by: str, model: Mapping[str, Any], facts: Facts, path: str, names: Sequence[str]) -> None:
        """Keep as a problem each number that was said of a model under these names and its files deny."""
        for name in names:
            value, true = model[name], getattr(facts, name)
            if isinstance(value, int) and true and abs(value - true) > (CLOSE * true if name == "params" else 0):
                what = f"{by}.{name}" if by in ROLES else f"{by}, {name}"
                problem = f"{what}: {value:,}, but {path} has {true:,}. Leave it out: it comes from the model's files."
                self.problems[problem] = None


def _base_field(where: str) -> str:
    """The setting that names the base of an adapter."""
    role = where.removeprefix("model@")
    return f"{role}.base=FOLDER" if role in ROLES else f"base: FOLDER in its entry of {where}"


def _advise(where: str, model: Mapping[str, Any]) -> str:
    """What helps where the base of an adapter is not to be had."""
    choice = f"{where}=NAME" if where.startswith("model@") else "model: NAME there, beside path"
    whole = f"Or set {_base_field(where)}, to a copy of that model"
    return f"{whole}." if is_undescribed(model) else f"{whole}, or choose its model too ({choice})."


def derive_fields(name: str, facts: Facts) -> Settings:
    """The fields of `config.model.Model` that follow from the files."""
    return {
        "name": name,
        "params": max(1, facts.params),
        "layers": facts.layers,
        "hidden": facts.hidden,
        "keep_layers": None,
        "feature_layer": None,
        "pooling": "mean" if facts.is_encoder else "last",
        "lora_targets": list(facts.lora_targets),
        "label_words": None if facts.is_encoder else [" incorrect", " correct"],
        "lr_full": 5e-5 if facts.params < SMALL else 1e-5,
        "lr_lora": 1e-4,
        "confidence_weight": 0.5,
    }


def name_of(path: Path) -> str:
    """What tables call a local model: its folder, with that around it where the folder's own name says nothing."""
    path = path.expanduser().absolute()
    parts = path.parts
    if path.parent.name == "snapshots":  # of the hub's cache: models--OWNER--NAME/snapshots/COMMIT
        parts = (path.parent.parent.name.rpartition("--")[2],)
    elif path.name.startswith("checkpoint-"):
        parts = (f"{path.parent.name}-{path.name}",)
    stem = re.sub(r"\.gguf$", "", parts[-1], flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "model"
