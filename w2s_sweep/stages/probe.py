"""Probe stage: a linear classifier on standardised frozen features, trained by the same loop as everything else."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import Tensor

from w2s_sweep.stages.context import Context
from w2s_sweep.stages.training import conclude, fit, lesson_of


class LinearProbe:
    """Rows of a feature matrix in, logits out; zero-initialised."""

    def __init__(self, features: Tensor, classes: int, l2: float):
        self.features = features
        self.l2 = l2
        self.weight = torch.zeros(classes, features.shape[1], requires_grad=True)
        self.bias = torch.zeros(classes, requires_grad=True)

    def logits(self, rows: Sequence[int]) -> Tensor:
        return self.features[list(rows)] @ self.weight.T + self.bias

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        return [list(rows)]

    def trainable(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}

    def penalty(self) -> Tensor | None:
        return self.l2 / 2 * self.weight.square().sum() if self.l2 else None

    def mode(self, *, training: bool) -> None:
        return


def standardised(features: np.ndarray, rows: Sequence[int]) -> Tensor:
    """Features with mean 0 and standard deviation 1 over the training rows, per dimension."""
    part = features[list(rows)].astype(np.float64)
    scale = part.std(0)
    return torch.from_numpy(((features - part.mean(0)) / np.where(scale > 1e-6, scale, 1.0)).astype(np.float32))


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


def run(context: Context) -> None:
    lesson = lesson_of(context)
    features = load_file(context.input("features") / "features.safetensors")["features"]
    l2 = context.stage.settings["finetune"]["l2"]
    probe = LinearProbe(standardised(features, lesson.chosen), lesson.rows.classes, l2)
    with one_thread():
        summary = fit(context, probe, lesson, torch.device("cpu"))
        head = {name: value.detach() for name, value in probe.trainable().items()}
        save_file(head, context.out / "head.safetensors")
        conclude(context, probe, lesson, summary)
