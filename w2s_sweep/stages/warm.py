"""What the stages of one process share: weights and tokenised rows are loaded once for all stages of a pack."""

from functools import lru_cache
from pathlib import Path

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.load import load_backbone
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.sources import fetch


def model_folder(stage: Stage) -> Path:
    """Where the weights of a stage's model are on this machine."""
    source = from_plain(Source, stage.run["model"]["source"])
    identity = {name: value for name, value in stage.settings["model"].items() if name != "keep_layers"}
    return fetch(source, identity, "model")


def frozen_backbone(stage: Stage) -> Backbone:
    """The model of a stage, shared: the caller must not change its weights."""
    return _frozen(model_folder(stage), stage.settings["model"]["keep_layers"])


@lru_cache(maxsize=1)
def _frozen(folder: Path, keep_layers: int | None) -> Backbone:
    backbone = load_backbone(folder, keep_layers=keep_layers)
    backbone.module.to(pick_device())
    return backbone


def token_ids(stage: Stage, backbone: Backbone, texts: list[str]) -> list[list[int]]:
    """The texts of the stage's data as this model reads them."""
    settings = stage.settings
    name = canonical([stage.inputs["data"], settings["model"], settings["max_tokens"]])
    if name not in _tokens:
        while len(_tokens) >= KEPT:
            _tokens.pop(next(iter(_tokens)))
        _tokens[name] = backbone.tokens(texts, settings["max_tokens"])
    return _tokens[name]


KEPT = 2
"""Tokenised datasets that a process keeps."""
_tokens: dict[str, list[list[int]]] = {}
