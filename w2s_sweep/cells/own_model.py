"""Models of one's own: what is known of `strong.path=FOLDER` comes from its files, not from the model whose place it
takes, and what is known of `strong=OWNER/NAME` from the hub's.

With `model@strong=NAME` beside it a folder is a copy of that model, and has to look like it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.read import is_mapping
from w2s_sweep.config.source import HubSource, LocalSource
from w2s_sweep.errors import ConfigError, SourceError
from w2s_sweep.sources.adapter import is_adapter, source_of
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


def with_own_models(composed: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> list[Settings]:
    """Composed cells whose local models are described by their files; `overrides` is what the command said of each.

    Raises ConfigError with all folders that cannot be trained, and all settings that contradict their files.
    """
    problems: dict[str, None] = {}
    names = _names(composed)
    known: dict[str, Facts] = {}
    done: dict[object, Settings] = {}
    cells: list[Settings] = []
    for cell, lines in zip(composed, overrides, strict=True):
        said = {name: value for name, _, value in (line.lstrip("+").partition("=") for line in lines)}
        described: Settings = {}
        for role in ROLES:
            model = cell.get(role)
            if not is_mapping(model) or not _is_used(cell, role):
                continue
            if {f"{role}.path", f"{role}.features"} & {*said} or _is_undescribed(model):
                # One object for all cells that say the same of the same model: what cells share is read once.
                one = (role, id(model), _about(role, said))
                if one not in done:
                    done[one] = _describe(role, model, said, names, known, problems)
                described[role] = done[one]
        cells.append({**cell, **described})
    if problems:
        raise ConfigError(list(problems))
    return cells


def _is_used(cell: Mapping[str, Any], role: str) -> bool:
    """Whether the model has a part in the cell: with a file of labels the weak one has none."""
    supervisor = cell.get("supervisor")
    return role != "weak" or not (is_mapping(supervisor) and supervisor.get("labels"))


def _describe(
    role: str, model: Mapping[str, Any], said: Mapping[str, str], names: Mapping[str, str], known: dict[str, Facts],
    problems: dict[str, None],
) -> Settings:  # fmt: skip
    path, vectors = model.get("path"), model.get("features")
    by_name = _is_undescribed(model)
    if isinstance(path, str) and isinstance(vectors, str):
        problems[f"{role}.path and {role}.features: a model is opened, or a file of vectors. Set one of them."] = None
    if isinstance(vectors, str):
        return {**model, **_unless_said(role, said, _of_vectors(vectors))}
    if not isinstance(path, str):
        return _of_the_hub(role, model, names, known, problems) if by_name else dict(model)
    chosen = not by_name and (f"model@{role}" in said or said.get("experiment", "null") != "null")
    try:
        folder = existing(LocalSource(path=path))
        if is_adapter(folder):  # whatever model it is on, it is another one than that
            model = {**model, **_unless_said(role, said, {"name": name_of(folder)})}
            found = _base_of(role, path, model, chosen or {"layers", "hidden", "params"} <= _own(role, said))
            if found is None:
                return dict(model)
            folder = found
        if str(folder) not in known:
            require_model(folder)
            known[str(folder)] = read_facts(folder)
    except SourceError as error:
        problems[f"model@{role}: {error}"] = None
        return dict(model)
    facts = known[str(folder)]
    if chosen:
        by = f"model@{role}={said.get(f'model@{role}', model['name'])}"
        problems |= dict.fromkeys(_contradictions(by, model, facts, path, EXACT))
        return dict(model)
    own = _own(role, said)
    problems |= dict.fromkeys(_contradictions(role, model, facts, path, [n for n in (*EXACT, "params") if n in own]))
    return {**model, **_unless_said(role, said, _derive_fields(name_of(Path(path)), facts))}


def _is_undescribed(model: Mapping[str, Any]) -> bool:
    """Whether a file of a model of the hub, as that of `strong=OWNER/NAME`, leaves open what the hub says of it."""
    source = model.get("source")
    on_hub = is_mapping(source) and source.get("kind") == "hub" and source.get("repository") != MISSING
    return on_hub and MISSING in (model.get(name) for name in LEFT_OPEN)


def _names(composed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Repository -> what tables call it: its owner too where another one has the same name in this sweep."""
    models = {id(model): model for cell in composed for model in map(cell.get, ROLES) if is_mapping(model)}
    repositories = {str(model["source"]["repository"]) for model in models.values() if _is_undescribed(model)}
    short = {one: name_of(Path(one)) for one in repositories}
    twice = [name for name, count in Counter(short.values()).items() if count > 1]
    return {one: name_of(Path(one.replace("/", "-"))) if name in twice else name for one, name in short.items()}


def _of_the_hub(
    role: str, model: Mapping[str, Any], names: Mapping[str, str], known: dict[str, Facts], problems: dict[str, None]
) -> Settings:
    """A model of the hub with all that was left open."""
    try:
        source: HubSource = from_plain(HubSource, model["source"])
        where = f"{source.repository} at {source.revision}"
        if where not in known:
            known[where] = describe(source)
    except (SourceError, ValidationError) as error:
        problems[f"model@{role}: {error}"] = None
        return dict(model)
    set_by_hand = [name for name in (*EXACT, "params") if model[name] != MISSING]
    problems |= dict.fromkeys(_contradictions(role, model, known[where], where, set_by_hand))
    derived = _derive_fields(names[source.repository], known[where])
    return {**model, **{name: value for name, value in derived.items() if model.get(name) == MISSING}}


def _base_of(role: str, path: str, model: Mapping[str, Any], described: bool) -> Path | None:
    """The folder of an adapter's base; None where it is on the hub and the command has `described` it. SourceError
    where it has not."""
    base = source_of(path, model.get("base")).base
    if isinstance(base, LocalSource):
        return existing(base)
    if described:
        return None
    raise SourceError(
        f"{path} is an adapter on {base.repository} of the hub, whose size is not known here. Choose its model too "
        f"(model@{role}=NAME), or set {role}.base=FOLDER to a copy of it."
    )


def _about(role: str, said: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """All that the command says of a role's model."""
    choices = (f"model@{role}", "experiment")
    return tuple(sorted((n, value) for n, value in said.items() if n.startswith(f"{role}.") or n in choices))


def _own(role: str, said: Mapping[str, str]) -> set[str]:
    """The fields of a role's model that the command sets."""
    return {name.partition(".")[2] for name in said if name.startswith(f"{role}.")}


def _unless_said(role: str, said: Mapping[str, str], values: Settings) -> Settings:
    return {name: value for name, value in values.items() if name not in _own(role, said)}


def _of_vectors(path: str) -> Settings:
    """The fields of a model of which there is no more than a file of vectors: nothing of the one it stands in for."""
    return {
        "name": name_of(Path(path).with_suffix("")),
        "params": 1,
        "layers": 1,
        "hidden": 1,
        "keep_layers": None,
        "feature_layer": None,
        "label_words": None,
        "adapt": None,
    }


def _contradictions(by: str, model: Mapping[str, Any], facts: Facts, path: str, names: Sequence[str]) -> list[str]:
    """What was said of a model and its files deny."""
    found: list[str] = []
    for name in names:
        value, true = model[name], getattr(facts, name)
        if isinstance(value, int) and true and abs(value - true) > (CLOSE * true if name == "params" else 0):
            field = f"{by}.{name}" if by in ROLES else f"{by}, {name}"
            found.append(f"{field}: {value:,}, but {path} has {true:,}. Leave it out: it comes from the model's files.")
    return found


def _derive_fields(name: str, facts: Facts) -> Settings:
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
