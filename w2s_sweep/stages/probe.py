"""Probe stage: a linear classifier on standardised frozen features, trained by the same loop as everything else."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import Tensor

from w2s_sweep.kinds.training import Probe
from w2s_sweep.predictions import HEAD
from w2s_sweep.runner.context import Context
from w2s_sweep.training.supervision import Supervision, fit, publish_trained, read_supervision


class FrozenProbe:
    """What both probes share: a zero-initialised weight [outputs, width] on frozen features, with a penalty."""

    def __init__(self, features: Tensor, outputs: int, l2: float):
        self.features = features
        self.l2 = l2
        self.weight = torch.zeros(outputs, features.shape[1], requires_grad=True)

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        return [list(rows)]

    def shrink(self) -> None:
        """A probe's passes are as large as its batches."""

    def measure(self, rows: Sequence[int], seconds: float) -> None:
        """Nothing is read: features are there."""

    def penalty(self) -> Tensor | None:
        return self.l2 / 2 * self.weight.square().sum() if self.l2 else None

    def mode(self, *, training: bool) -> None:
        """The same in training and after."""


class LinearProbe(FrozenProbe):
    """Rows of a feature matrix in, logits out."""

    def __init__(self, features: Tensor, classes: int, l2: float):
        super().__init__(features, classes, l2)
        self.bias = torch.zeros(classes, requires_grad=True)

    def logits(self, rows: Sequence[int]) -> Tensor:
        return self.features[list(rows)] @ self.weight.T + self.bias

    def trainable(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}


class RewardProbe(FrozenProbe):
    """Rows of pairs in, the linear rewards [of the second text, of the first] out as logits.

    Their softmax is the Bradley-Terry model. There is no bias, which would add the same to both.
    """

    def __init__(self, features: Tensor, others: Tensor, l2: float):
        super().__init__(features, 1, l2)
        self.others = others

    def logits(self, rows: Sequence[int]) -> Tensor:
        index = list(rows)
        return torch.cat([self.others[index] @ self.weight.T, self.features[index] @ self.weight.T], 1)

    def trainable(self) -> dict[str, Tensor]:
        return {"weight": self.weight}


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean 0 and standard deviation 1 over the training rows, per dimension of the features [rows, ...]."""

    mean: np.ndarray
    """float64 [...]"""
    scale: np.ndarray
    """float64 [...]; 1 where a dimension does not vary."""

    @classmethod
    def of(cls, features: np.ndarray, rows: Sequence[int]) -> "Scaling":
        part = features[list(rows)].astype(np.float64)
        scale = part.std(0)
        return cls(part.mean(0), np.where(scale > 1e-6, scale, 1.0))

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """float64 [rows, ...]"""
        return (features - self.mean) / self.scale

    def apply(self, features: np.ndarray) -> Tensor:
        """float32 [rows, ...]"""
        return torch.from_numpy(self.standardise(features).astype(np.float32))

    def state(self) -> dict[str, Tensor]:
        return {"mean": torch.from_numpy(self.mean), "scale": torch.from_numpy(self.scale)}


AnyProbe = LinearProbe | RewardProbe


def make_probe(stored: Mapping[str, np.ndarray], scaling: Scaling, classes: int, l2: float) -> AnyProbe:
    """The untrained probe on the tables of a features stage, scaled; of pairs where these have two."""
    features = scaling.apply(stored["features"])
    if "features_other" in stored:
        return RewardProbe(features, scaling.apply(stored["features_other"]), l2)
    return LinearProbe(features, classes, l2)


def build(context: Context[Probe], supervision: Supervision) -> tuple[AnyProbe, Scaling]:
    """The untrained probe on the input `features`, which are standardised over both texts where they are of pairs."""
    stored = load_file(context.input("features") / "features.safetensors")
    if (mixed := context.optional("mixed_features")) is not None:
        more = load_file(mixed / "features.safetensors")
        stored = {name: np.concatenate([values, more[name]]) for name, values in stored.items()}
    if supervision.rows.others is None:
        stored.pop("features_other", None)
    features, chosen = stored["features"], list(supervision.chosen)
    if "features_other" in stored:
        chosen += [row + len(features) for row in supervision.chosen]
        features = np.concatenate([features, stored["features_other"]])
    scaling = Scaling.of(features, chosen)
    return make_probe(stored, scaling, supervision.rows.classes, context.settings.finetune.l2), scaling


@contextmanager
def one_thread() -> Generator[None]:
    """Products this small are slower on several threads, many times so on a busy machine; and one gives the same bits
    whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(context: Context[Probe]) -> None:
    supervision = read_supervision(context)
    probe, scaling = build(context, supervision)
    with one_thread():
        summary = fit(context, probe, supervision, torch.device("cpu"))
        head = {name: value.detach() for name, value in probe.trainable().items()}
        save_file(head | scaling.state(), context.out / HEAD)
        publish_trained(context, probe, supervision, summary)
