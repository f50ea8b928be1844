"""Contrast stage: the frozen vector of every text with each possible answer after it (Burns et al. 2022, arXiv
2212.03827, section 2.2): x+ and x- of a question are the same text but for the answer."""

from collections.abc import Sequence

from safetensors.numpy import save_file

from w2s_sweep.kinds.forward import Contrast
from w2s_sweep.models.prompt import GAP, Asked, around_pair
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.features import read_frozen
from w2s_sweep.training.examples import load_asked

CONTRAST = "contrast.safetensors"
"""`features` float32 [rows, classes, width], rows in the order of the data."""


def write_answered(asked: Sequence[Asked], settings: Contrast) -> list[str]:
    """All rows with the answer of class 0, then all with that of class 1, and so on."""
    head = settings.instruction + GAP if settings.instruction else ""
    return [f"{head}{_show(one, settings.pair)}{settings.question}{word}" for word in settings.words for one in asked]


def _show(asked: Asked, pair: str | None) -> str:
    if isinstance(asked, str):
        return asked
    before, between, after = around_pair(pair)
    return f"{before}{asked[0]}{between}{asked[1]}{after}"


def run(context: Context[Contrast]) -> None:
    settings = context.settings
    asked = load_asked(context.input("data"))
    texts = write_answered(asked, settings)
    features, facts = read_frozen(context, lambda backbone: backbone.tokens(texts, settings.max_tokens))
    each = features.reshape(len(settings.words), len(asked), -1).swapaxes(0, 1)
    save_file({"features": each.copy()}, context.out / CONTRAST)
    context.finish({"examples": len(asked)} | facts)
