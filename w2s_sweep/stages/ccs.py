"""CCS stage: contrast-consistent search (Burns et al. 2022, "Discovering Latent Knowledge in Language Models Without
Supervision", arXiv 2212.03827, section 2.2).

A probe p(x) = sigmoid(theta x + b) on normalised features is trained without any label so that it says opposite things
of x+ and x-, the text with the answers of class 1 and class 0, and something of them: the mean over rows of

    (p(x+) - (1 - p(x-)))^2 + min(p(x+), p(x-))^2

Which of its two sides is class 1 the loss cannot tell; the labels of the supervisor decide that one bit.
"""

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from w2s_sweep.arrays import Array
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Ccs
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.contrast import CONTRAST
from w2s_sweep.stages.probe import Scaling, one_thread
from w2s_sweep.training.examples import PREDICTED, load_rows, predictions_of
from w2s_sweep.training.labels import places, publish, read_labels


def normalise(features: Array, rows: list[int]) -> Array:
    """float32 [rows, 2, width]: each answer's vectors with mean 0 and standard deviation 1 over `rows`, so that no
    dimension says which answer stands there."""
    return Scaling.of(features, rows).standardise(features).astype(np.float32)


def ccs_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """[...]: consistency and confidence of p(x+) and p(x-) [..., rows], mean over rows."""
    consistency = (positive - (1 - negative)).square()
    confidence = torch.minimum(positive, negative).square()
    return (consistency + confidence).mean(-1)


def search(pairs: Array, settings: Ccs) -> tuple[Array, float, float]:
    """(theta [width], b, loss) of the best of several probes, all trained at once; `pairs` [rows, 2, width]."""
    draw = torch.Generator().manual_seed(settings.seed)
    width = pairs.shape[2]
    theta = torch.randn(settings.tries, width, generator=draw) / width**0.5
    theta.requires_grad_()
    bias = torch.zeros(settings.tries, 1, requires_grad=True)
    optimizer = torch.optim.AdamW([theta, bias], lr=settings.lr, weight_decay=settings.weight_decay)
    negative, positive = (torch.from_numpy(pairs[:, answer].copy()).T for answer in (0, 1))

    def losses() -> Tensor:
        return ccs_loss(torch.sigmoid(theta @ positive + bias), torch.sigmoid(theta @ negative + bias))

    for _ in range(settings.epochs):
        optimizer.zero_grad()
        losses().sum().backward()  # the probes have no part in each other's
        optimizer.step()
    with torch.no_grad():
        found = losses()
        best = int(found.argmin())
        return theta[best].numpy().copy(), float(bias[best]), float(found[best])


def probability(pairs: Array, theta: Array, bias: float) -> Array:
    """float64 [rows]: (p(x+) + 1 - p(x-)) / 2."""
    negative, positive = (1 / (1 + np.exp(-(pairs[:, answer].astype(np.float64) @ theta + bias))) for answer in (0, 1))
    return (positive + 1 - negative) / 2


def run(context: Context[Ccs]) -> None:
    settings = context.settings
    rows = load_rows(context.input("data"), settings.split)
    features = load_file(context.input("features") / CONTRAST)["features"]
    if features.shape[1] != 2:
        raise DataError(f"method: ccs tells two classes apart, and the task has {features.shape[1]}. Choose another.")
    learnt, chosen = rows.on(settings.on), rows.on(*PREDICTED)
    pairs = normalise(features, learnt)
    with one_thread():
        theta, bias, loss = search(pairs[learnt], settings)
    one = probability(pairs, theta, bias)
    said = read_labels(context, "labels").on(settings.on)
    labelled = places(rows.ids, said.ids, "the dataset")
    agreement = float(((one[labelled] > 0.5) == said.probs.argmax(1)).mean())
    if agreement < 0.5:
        one = 1 - one
    probs = np.clip(np.stack([1 - one, one], 1)[chosen], 1e-7, 1)
    publish(
        context,
        predictions_of(rows, chosen, np.log(probs), {}),
        {"loss": loss, "turned": agreement < 0.5, "agreement with the supervisor": max(agreement, 1 - agreement)},
    )
