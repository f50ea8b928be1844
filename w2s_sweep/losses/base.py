"""What every loss is: frozen parameters and a pure function of (logits, soft labels, schedule position).

No loss imports torch when it is imported: the same classes are the schema of the config group `loss`, which is read
where torch must not be loaded. Formulas use tensor methods only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.errors import RegistrationError
from w2s_sweep.registry import Place, Registry, require_version

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of one: of the training steps, of a target, of the weight of a term."""


@schema
class Loss:
    """Base of the losses. Calling one gives the loss of each example of a whole optimizer batch.

    A subclass with a `name` is a choice of the config group `loss`, wherever it is defined.
    """

    uses_batch_statistic: ClassVar[bool] = False
    """Whether an example's loss depends on the other examples (a threshold, a quantile): then the training loop calls
    the loss on the whole optimizer batch, never on a micro-batch. It must not depend on their order."""

    reads: ClassVar[Literal["probs", "logits"]] = "probs"
    """What the labels are of the supervisor's predictions: its probabilities, or its logits as they are."""

    version: ClassVar[int | None] = None
    """Of a loss outside this package, which must have one: enters the keys of what is trained with it. Count it up
    whenever the loss computes something else for the same settings. None: this package's stages have versions."""

    name: str
    """Which loss; a subclass narrows it to one word."""

    def __init_subclass__(cls, *, choice: bool = True, **rest: Any) -> None:
        """`choice=False`: not a choice of the config group, in spite of its name."""
        super().__init_subclass__(**rest)
        if choice and isinstance(name := vars(cls).get("name"), str):
            place = Place(cls.__module__, cls.__qualname__)
            require_version("loss", name, vars(cls).get("version"), place)
            if "ClassVar" not in str(vars(cls).get("__annotations__", {}).get("version", "ClassVar")):
                raise RegistrationError(
                    f"loss {name!r}: {place} has `version` as a setting. Write version: ClassVar[int] = 1."
                )
            LOSSES.register(name, cls)

    def of_student(self, confidence_weight: float) -> Loss:
        """The loss of a student whose model has this `confidence_weight`; the same unless a setting is left to it."""
        return self

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        """Loss of each example.

        `logits`: the student's, finite; half precision is promoted to float32. `labels`: soft labels, rows sum to 1;
        zeros are allowed (or what else the loss `reads`). `progress`: optimizer step / number of steps, in [0, 1).
        """
        raise TypeError(f"{type(self).__name__} defines no formula")


LOSSES: Registry[type[Loss]] = Registry("loss")
"""The losses by name."""
