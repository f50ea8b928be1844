"""Features stage: one frozen vector for every text, computed once per model and dataset for all probes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from w2s_sweep.arrays import Array
from w2s_sweep.errors import ModelError
from w2s_sweep.kinds.base import Json
from w2s_sweep.kinds.forward import Features, Frozen
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.features import feature_layer, frozen_features
from w2s_sweep.models.load import read_shape
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.forward_passes import KeptPasses
from w2s_sweep.runner.throughput import speed
from w2s_sweep.training.examples import load_ids, load_texts

Read = Callable[[Backbone], list[list[int]]]
"""Texts as tokens of a model."""


def run(context: Context[Features]) -> None:
    examples, texts = len(load_ids(context.input("data"))), load_texts(context.input("data"))
    features, facts = read_frozen(context, lambda backbone: process_cache.token_ids(context, backbone, texts))
    parts = {"features": features[:examples]}
    if len(texts) > examples:
        parts["features_other"] = features[examples:]
    save_file(parts, context.out / "features.safetensors")
    context.finish({"examples": examples} | facts)


def read_frozen(context: Context[Any], read: Read) -> tuple[Array, dict[str, Json]]:
    """float32 [texts, width]: their vectors in the frozen model of a stage of a `Frozen` kind; and what its summary
    says. Raises ModelError."""
    settings: Frozen = context.settings
    shape = read_shape(process_cache.model_folder(context), settings.keep_layers)
    layer = feature_layer(shape, settings.feature_layer)
    ranks = this_process()
    with ranks.in_turn():
        backbone = process_cache.backbone_up_to(context, settings.precision, layer)
    tokens, collator = read(backbone), backbone.collator()
    features = frozen_features(
        backbone,
        tokens,
        layer=layer,
        pooling=settings.pooling,
        precision=settings.precision,
        token_budget=fit_device(context, backbone, settings.precision),
        passes=KeptPasses(context),
        collator=collator,
    )
    collator.add_ranks(ranks)
    _refuse_infinite(features, context)
    facts = {"tokens": sum(map(len, tokens)), "width": int(features.shape[1])} | collator.summary()
    last = settings.pooling == "last"
    return features, facts | speed(context, backbone, collator.read, "forward", settings.precision, layer, last=last)


def _refuse_infinite(features: Array, context: Context[Any]) -> None:
    """ModelError where vectors are not finite: probes on them would blame their own training."""
    bad = int((~np.isfinite(features).all(axis=-1)).sum())
    if bad:
        raise ModelError(
            f"features of {context.stage.hints.of_model.name}: the vectors of {bad} of {len(features)} texts are not "
            f"finite with precision={context.settings.precision}, so the weights in "
            f"{process_cache.model_folder(context)} are damaged, or do not fit that precision. Check them, or set "
            "precision=fp32."
        )
