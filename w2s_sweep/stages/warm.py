"""What the stages of one process share: weights and tokenised rows are loaded once for all stages of a pack."""

from functools import lru_cache
from pathlib import Path

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.models.adapted import adapted
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.load import load_backbone
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.sources import fetch
from w2s_sweep.stages.context import Context


def model_folder(stage: Stage) -> Path:
    """Where the weights of a stage's model are on this machine."""
    source = from_plain(Source, stage.run["model"]["source"])
    identity = {name: value for name, value in stage.settings["model"].items() if name != "keep_layers"}
    return fetch(source, identity, "model")


def frozen_backbone(context: Context) -> Backbone:
    """The model of a stage, shared: the caller must not change its weights."""
    stage = context.stage
    return _frozen(model_folder(stage), stage.settings["model"]["keep_layers"], adapted_folder(context))


def own_backbone(context: Context, dropout: float = 0.0) -> Backbone:
    """The model of a stage, on the CPU, to be trained."""
    stage = context.stage
    return _loaded(model_folder(stage), stage.settings["model"]["keep_layers"], adapted_folder(context), dropout)


def adapted_folder(context: Context) -> Path | None:
    """Where the weights are that a stage begins from instead of the published ones."""
    return context.input("adapted") if "adapted" in context.stage.inputs else None


@lru_cache(maxsize=1)
def _frozen(folder: Path, keep_layers: int | None, changed: Path | None) -> Backbone:
    backbone = _loaded(folder, keep_layers, changed, 0.0)
    backbone.module.to(pick_device())
    return backbone


def _loaded(folder: Path, keep_layers: int | None, changed: Path | None, dropout: float) -> Backbone:
    backbone = load_backbone(folder, keep_layers=keep_layers, dropout=dropout)
    return backbone if changed is None else adapted(backbone, changed)


def token_ids(stage: Stage, backbone: Backbone, texts: list[str], room: int = 0) -> list[list[int]]:
    """The texts of the stage's data as this model reads them, with `room` tokens left free after each."""
    settings = stage.settings
    most = settings["max_tokens"]
    name = canonical([stage.inputs["data"], stage.inputs.get("mixed"), settings["model"], most, room])
    if name not in _tokens:
        while len(_tokens) >= KEPT:
            _tokens.pop(next(iter(_tokens)))
        _tokens[name] = backbone.tokens(texts, most, room)
    return _tokens[name]


KEPT = 2
"""Tokenised datasets that a process keeps."""
_tokens: dict[str, list[list[int]]] = {}
