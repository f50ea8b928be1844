"""Contrast stage: the frozen vector of every text with each possible answer after it (Burns et al. 2022, arXiv
2212.03827, section 2.2): x+ and x- of a question are the same text but for the answer."""

from collections.abc import Sequence

from safetensors.numpy import save_file

from w2s_sweep.kinds.forward import Contrast
from w2s_sweep.models.features import feature_layer, frozen_features
from w2s_sweep.models.load import read_shape
from w2s_sweep.models.prompt import GAP, Asked
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.forward_passes import KeptPasses
from w2s_sweep.runner.throughput import speed
from w2s_sweep.stages.features import refuse_infinite
from w2s_sweep.training.examples import load_asked

CONTRAST = "contrast.safetensors"
"""`features` float32 [rows, classes, width], rows in the order of the data."""


def answered(asked: Sequence[Asked], settings: Contrast) -> list[str]:
    """All rows with the answer of class 0, then all with that of class 1, and so on."""
    head = settings.instruction + GAP if settings.instruction else ""
    return [f"{head}{_shown(one, settings.pair)}{settings.question}{word}" for word in settings.words for one in asked]


def _shown(asked: Asked, pair: str | None) -> str:
    if isinstance(asked, str):
        return asked
    assert pair is not None, "examples are pairs"
    before, rest = pair.split("{first}", 1)
    between, after = rest.split("{second}", 1)
    return f"{before}{asked[0]}{between}{asked[1]}{after}"


def run(context: Context[Contrast]) -> None:
    settings = context.settings
    asked = load_asked(context.input("data"))
    layer = feature_layer(read_shape(process_cache.model_folder(context), settings.keep_layers), settings.feature_layer)
    backbone = process_cache.backbone_up_to(context, settings.precision, layer)
    tokens, collator = backbone.tokens(answered(asked, settings), settings.max_tokens), backbone.collator()
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
    refuse_infinite(features, context)
    each = features.reshape(len(settings.words), len(asked), -1).swapaxes(0, 1)
    save_file({"features": each.copy()}, context.out / CONTRAST)
    counts = {"examples": len(asked), "tokens": sum(map(len, tokens)), "width": int(features.shape[1])}
    context.finish(counts | collator.summary() | speed(context, backbone, collator.read, "forward", settings.precision))
