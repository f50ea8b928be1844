"""The implicit reward of a language model: how much likelier a text has become than it was before training (Rafailov et
al. 2023, "Direct Preference Optimization", arXiv 2305.18290, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.language import LanguageModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from w2s_sweep.data.batches import Texts


class LanguageScore(LanguageModel):
    """beta log pi(text) in nats, summed over all its tokens but the first, which follows on nothing.

    A reward is this minus what the model gave before training. Whatever two texts have in common at their beginning,
    such as a prompt, cancels in the difference of their rewards. Raises ModelError for a model that is no decoder.
    """

    def __init__(self, backbone: Backbone, *, beta: float, frozen: bool = False):
        super().__init__(backbone, frozen=frozen)
        self.beta = beta

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Int[Tensor, "batch tokens"],
        wanted: Int[Tensor, "batch tokens"] | None = None,
        *,
        texts: Texts | None = None,
    ) -> Float[Tensor, "texts 1"]:
        """float32; 0 for a text of one token."""
        return self.beta * super().forward(input_ids, attention_mask, wanted, texts=texts)[:, None]
