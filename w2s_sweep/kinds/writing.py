"""What a stage holds while it writes texts (`models/decode.py`): keys, values and logits of as many as are continued
together."""

from dataclasses import dataclass, replace

from w2s_sweep.config.finetune import Precision
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.models.room import bytes_for_texts

LOGIT = 4
"""Bytes of a logit, which is in 32 bits."""


def on_each(gpus: int, fixed: float, shared: float, gathered: float) -> float:
    """What each of so many devices holds of `fixed` bytes, of which `shared` are divided among several, where each has
    `gathered` beside its share."""
    return fixed if gpus == 1 else fixed - shared * (1 - 1 / gpus) + gathered


@dataclass(frozen=True)
class Writing:
    """Bytes on a device while texts are written."""

    fixed: float
    """Whatever is written: weights, and what else of the stage is there meanwhile."""
    token: float
    """For each token of a forward pass."""
    weights: float
    """Of all weights: the texts may take as many."""
    text: float
    """Keys, values and logits of the longest text."""
    copied: float
    """For each text beside that: keys and values of one block, while they are copied or repeated for its queries."""
    shared: float = 0.0
    """What of `fixed` several devices divide among them."""
    gathered: float = 0.0
    """What each of several devices holds beside its share."""

    @property
    def each(self) -> float:
        """What one text more takes."""
        return self.text + self.copied

    def on(self, gpus: int) -> "Writing":
        """What each of so many devices holds."""
        return replace(self, fixed=on_each(gpus, self.fixed, self.shared, self.gathered), weights=self.weights / gpus)

    def device(self, tokens: float, room: float) -> float:
        """Bytes that are held with passes of so many tokens, and texts whose keys, values and logits take `room`."""
        return self.fixed + self.token * tokens + max(1.0, room / self.text) * self.each

    def divide(self, free: float, device: float, least: int, most: int) -> tuple[int, float] | None:
        """Of `free` bytes: (tokens of a forward pass, bytes for the keys, values and logits of texts); None where a
        single text does not fit beside a pass of `least` tokens, the least that a pass may have.

        Passes get what texts leave of it: `most` tokens where there is enough.
        """
        wanted = max(self.text, bytes_for_texts(self.weights, device))
        room = min(wanted, (free - self.fixed - least * self.token) / self.each * self.text)
        if room < self.text:
            return None
        left = free - self.fixed - room / self.text * self.each
        return int(min(most, left / self.token)), room


def writing_of(
    shape: Shape, precision: Precision, longest: int, *, fixed: float, weights: float, token: float
) -> Writing:
    """Of a model whose texts have up to `longest` tokens together with what follows them; else as in `Writing`."""
    number = 2 if precision == "bf16" else 4  # bytes
    # Attention has keys and values for each head of the queries, where a mask says what is padding.
    widest = max(2 * shape.keys, 2 * shape.queries if shape.queries > shape.keys else 0)
    return Writing(
        fixed=fixed,
        token=token,
        weights=weights,
        text=number * 2 * shape.keys * shape.layers * longest + LOGIT * shape.vocabulary,
        copied=number * widest * longest,
    )
