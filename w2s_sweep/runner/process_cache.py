"""What the stages of one process share: weights and tokenised rows are loaded once for all stages of a pack."""

from functools import lru_cache
from pathlib import Path

from w2s_sweep.kinds.base import OfModel
from w2s_sweep.models.adapted import load_adapted
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.load import load_backbone
from w2s_sweep.plan.stage import canonical
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch


def model_folder(context: Context[OfModel]) -> Path:
    """Where the weights of a stage's model are on this machine."""
    return fetch(context.stage.hints.of_model.source, context.settings.weights, "model")


def frozen_backbone(context: Context[OfModel]) -> Backbone:
    """The model of a stage, shared: the caller must not change its weights."""
    return _frozen(model_folder(context), context.settings.keep_layers, context.optional("adapted"))


def backbone_up_to(context: Context[OfModel], layer: int) -> Backbone:
    """As `frozen_backbone`, without the blocks after number `layer`: they are not even read from disk."""
    if context.optional("adapted") is not None:  # whose weights are those of all blocks
        return frozen_backbone(context)
    return _frozen(model_folder(context), max(1, layer), None)


def own_backbone(context: Context[OfModel], dropout: float = 0.0) -> Backbone:
    """The model of a stage, on the CPU, to be trained."""
    return _load(model_folder(context), context.settings.keep_layers, context.optional("adapted"), dropout)


@lru_cache(maxsize=1)
def _frozen(folder: Path, keep_layers: int | None, changed: Path | None) -> Backbone:
    return _load(folder, keep_layers, changed, 0.0).to(pick_device())


def _load(folder: Path, keep_layers: int | None, changed: Path | None, dropout: float) -> Backbone:
    backbone = load_backbone(folder, keep_layers=keep_layers, dropout=dropout)
    return backbone if changed is None else load_adapted(backbone, changed)


def token_ids(context: Context[OfModel], backbone: Backbone, texts: list[str], room: int = 0) -> list[list[int]]:
    """The texts of the stage's data as this model reads them, with `room` tokens left free after each."""
    inputs, settings = context.stage.inputs, context.settings
    most = settings.max_tokens
    name = canonical([inputs["data"], inputs.get("mixed"), settings.model, most, room])
    if name not in _tokens:
        while len(_tokens) >= KEPT:
            _tokens.pop(next(iter(_tokens)))
        _tokens[name] = backbone.tokens(texts, most, room)
    return _tokens[name]


KEPT = 2
"""Tokenised datasets that a process keeps."""
_tokens: dict[str, list[list[int]]] = {}
