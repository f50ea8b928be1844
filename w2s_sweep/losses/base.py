"""What every loss is: frozen parameters and a pure function of (logits, soft labels, schedule position).

No loss imports torch when it is imported: the same classes are the schema of the config group `loss`, which is read
where torch must not be loaded. Formulas use tensor methods only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of one: of the training steps, of a target, of the weight of a term."""


@schema
class Loss:
    """Base of the losses. Calling one gives the loss of each example of a whole optimiser batch."""

    uses_batch_statistic: ClassVar[bool] = False
    """Whether an example's loss depends on the other examples (a threshold, a quantile): then the training loop calls
    the loss on the whole optimiser batch, never on a micro-batch. It must not depend on their order."""

    reads: ClassVar[Literal["probs", "logits"]] = "probs"
    """What the labels are of the supervisor's predictions: its probabilities, or its logits as they are."""

    name: str
    """Which loss; a subclass narrows it to one word, the tag of the union `AnyLoss`."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        """Loss of each example.

        `logits`: the student's, finite; half precision is promoted to float32. `labels`: soft labels, rows sum to 1;
        zeros are allowed (or what else the loss `reads`). `progress`: optimiser step / number of steps, in [0, 1).
        """
        raise TypeError(f"{type(self).__name__} defines no formula")
