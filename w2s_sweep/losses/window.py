"""The confidence window: only examples of which the student is not yet certain are learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy, wide

if TYPE_CHECKING:
    from torch import Tensor

    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class Window(Loss):
    """CE(y, p) where max(p) < 1/k + radius, else 0; for two classes 1/k is .5.

    Examples outside the window still count in the mean of the batch, so certainty lowers the step size.
    """

    uses_batch_statistic: ClassVar[bool] = True

    name: Literal["window"] = "window"
    radius: Annotated[float, Field(gt=0, le=1)] | Literal["median"] = 0.15
    """Half width in probability; median: the median over the batch of max(y) - 1/k, how certain the labels are."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        chance = 1 / logits.shape[1]
        uncertain = log_p.detach().exp().amax(-1) - chance < self._radius(labels, chance)
        return soft_cross_entropy(labels, log_p) * uncertain

    def _radius(self, labels: Scores, chance: float) -> float | Tensor:
        if self.radius != "median":
            return self.radius
        return (wide(labels).amax(-1) - chance).quantile(0.5)
