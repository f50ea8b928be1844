"""The losses of weak-to-strong training; `AnyLoss` is the schema of the config group `loss`."""

from typing import Annotated

from pydantic import Field

from w2s_sweep.losses.adaptive import AdaptiveConfidence
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.confidence import Confidence, ConfidenceReleased, Entropy
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.divergence import FDivergence
from w2s_sweep.losses.evidential import Evidential
from w2s_sweep.losses.noisy_labels import Bootstrap, GeneralisedCrossEntropy, LabelSmoothing
from w2s_sweep.losses.product import Product
from w2s_sweep.losses.reverse import ReverseCrossEntropy, ReverseKL
from w2s_sweep.losses.window import Window
from w2s_sweep.losses.wspo import Wspo

AnyLoss = Annotated[
    CrossEntropy
    | Confidence
    | ConfidenceReleased
    | Entropy
    | Product
    | Window
    | AdaptiveConfidence
    | ReverseKL
    | ReverseCrossEntropy
    | FDivergence
    | GeneralisedCrossEntropy
    | LabelSmoothing
    | Bootstrap
    | Evidential
    | Wspo,
    Field(discriminator="name"),
]

LOSSES: dict[str, type[Loss]] = {
    "xent": CrossEntropy,
    "confidence": Confidence,
    "confidence_released": ConfidenceReleased,
    "entropy": Entropy,
    "product": Product,
    "window": Window,
    "adaptive_confidence": AdaptiveConfidence,
    "reverse_kl": ReverseKL,
    "reverse_xent": ReverseCrossEntropy,
    "f_divergence": FDivergence,
    "gce": GeneralisedCrossEntropy,
    "label_smoothing": LabelSmoothing,
    "bootstrap": Bootstrap,
    "evidential": Evidential,
    "wspo": Wspo,
}
"""Name -> class, for every member of `AnyLoss`."""

__all__ = [
    "LOSSES",
    "AdaptiveConfidence",
    "AnyLoss",
    "Bootstrap",
    "Confidence",
    "ConfidenceReleased",
    "CrossEntropy",
    "Entropy",
    "Evidential",
    "FDivergence",
    "GeneralisedCrossEntropy",
    "LabelSmoothing",
    "Loss",
    "Product",
    "ReverseCrossEntropy",
    "ReverseKL",
    "Window",
    "Wspo",
]
