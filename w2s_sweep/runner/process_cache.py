"""What the stages of one process share: weights and tokenised rows are loaded once for all stages of a pack."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from w2s_sweep.config.finetune import Precision, Quantise
from w2s_sweep.kinds.base import OfModel
from w2s_sweep.models.adapted import load_model
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import frozen_dtype, pick_device
from w2s_sweep.models.grouped import twin
from w2s_sweep.models.nf4 import to_nf4
from w2s_sweep.models.ranks import this_process
from w2s_sweep.plan.stage import canonical
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch


def model_folder(context: Context[OfModel]) -> Path:
    """Where the weights of a stage's model are on this machine."""
    return fetch(context.stage.hints.of_model.source, context.settings.weights, "model")


def frozen_backbone(context: Context[OfModel], precision: Precision) -> Backbone:
    """The model of a stage on its device, shared: the caller must not change its weights."""
    _bases.clear()
    dtype = frozen_dtype(pick_device(), precision)
    return _frozen(model_folder(context), context.settings.keep_layers, context.optional("adapted"), dtype)


def backbone_up_to(context: Context[OfModel], precision: Precision, layer: int) -> Backbone:
    """As `frozen_backbone`, without the blocks after number `layer`: they are not even read from disk."""
    if "adapted" in context.stage.inputs:  # whose weights are those of all blocks
        return frozen_backbone(context, precision)
    _bases.clear()
    return _frozen(model_folder(context), max(1, layer), None, frozen_dtype(pick_device(), precision))


def own_backbone(
    context: Context[OfModel],
    precision: Precision,
    *,
    frozen: bool,
    dropout: float = 0.0,
    quantise: Quantise = "none",
) -> Backbone:
    """The model of a stage, to be trained; `frozen`: below adapters, which train alone, and the one that the last stage
    had if it wants the same; `quantise` makes less of frozen weights."""
    if pick_device().type != "cpu":
        _frozen.cache_clear()  # or it would stay on the device beside the one that trains
    dtype = frozen_dtype(pick_device(), precision) if frozen else torch.float32
    wanted = _Wanted(
        model_folder(context), context.optional("adapted"), context.settings.keep_layers, dtype, dropout, quantise
    )
    if not frozen or this_process().size > 1:  # whose weights are changed, or shared out
        _bases.clear()
        return wanted.load()
    if wanted not in _bases:
        _bases.clear()  # before another one is loaded: two may not fit
        _bases[wanted] = wanted.load()
    return twin(_bases[wanted])


@dataclass(frozen=True)
class _Wanted:
    """A model that trains, or adapters of it."""

    folder: Path
    adapted: Path | None
    keep_layers: int | None
    dtype: torch.dtype
    dropout: float
    quantise: Quantise

    def load(self) -> Backbone:
        backbone = load_model(
            self.folder, self.adapted, keep_layers=self.keep_layers, dtype=self.dtype, dropout=self.dropout
        )
        if self.quantise == "nf4":
            to_nf4(backbone)
        return backbone


_bases: dict[_Wanted, Backbone] = {}
"""The model below adapters that was loaded last, of one at most: the stages of a pack put theirs on twins of it."""


def forget() -> None:
    """Let go of the model that was loaded last, and of its memory on the GPU."""
    _frozen.cache_clear()
    _bases.clear()
    torch.cuda.empty_cache()


@lru_cache(maxsize=1)
def _frozen(folder: Path, keep_layers: int | None, changed: Path | None, dtype: torch.dtype) -> Backbone:
    return load_model(folder, changed, keep_layers=keep_layers, dtype=dtype).to(pick_device())


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
