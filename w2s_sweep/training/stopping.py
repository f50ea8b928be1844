"""Early stopping (Burns et al. 2023, section 5.1): which parameters of a training are those that predict.

Nothing is cut short: every step is made, with the learning rates of the whole training. The best parameters are part of
a checkpoint, so that a resumed run ends with the same ones.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


def due(step: int, steps: int, evaluations: int) -> bool:
    """Whether one of so many evaluations follows step number `step` of `steps`, counted from 1."""
    # In whole numbers: evenly spaced whatever the ratio, and the last step is always one of them.
    return step * evaluations // steps > (step - 1) * evaluations // steps


@dataclass(frozen=True)
class EarlyStopping:
    """Training goes on to its last step, and the parameters that scored best on the way there are kept."""

    score: Callable[[], float]
    """Of the learner as it is now; larger is better."""
    evaluations: int
    """How often the learner is scored, evenly over the steps; the last time after the last step."""

    def due(self, step: int, steps: int) -> bool:
        """Whether an evaluation follows step number `step`, counted from 1."""
        return due(step, steps, self.evaluations)


@dataclass
class Best:
    """The parameters of the best evaluation so far; the earliest of equally good ones."""

    step: int = 0
    score: float = -math.inf
    params: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def offer(self, step: int, score: float, params: Mapping[str, Tensor]) -> None:
        """Keep a copy of `params` if they score better than all before."""
        if score > self.score:
            self.step, self.score = step, score
            # A clone: the optimizer goes on to write into the parameters themselves.
            self.params = {name: param.detach().clone() for name, param in params.items()}

    def put_into(self, params: Mapping[str, Tensor]) -> None:
        """Replace `params` by the best ones."""
        with torch.no_grad():
            for name, param in params.items():
                param.copy_(self.params[name])
