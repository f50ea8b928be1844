"""A backbone with a linear head: one float32 logit a class, from one read-out position or the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.readout import Pooling, pool

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from w2s_sweep.data.batches import Texts


class Classifier(nn.Module):
    """`backbone.module` with a head [hidden -> classes]; `classes=1` scores each text of a pair, without a bias.

    The head starts at zero, or, given `label_words` (one word a class), so that the logits differ by as much as the
    language model's own logits of the words do (Burns et al. 2023, appendix A.1). One score starts as that difference,
    of two words.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        classes: int = 2,
        pooling: Pooling = "last",
        label_words: tuple[str, ...] | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.pooling: Pooling = pooling
        self.transformer = backbone.module
        head = nn.Linear(
            backbone.hidden, classes, bias=classes > 1, dtype=torch.float32, device="meta"
        )  # draws no random numbers
        self.head = head.to_empty(device=backbone.device)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        if label_words is not None:
            rows = label_word_rows(backbone, label_words, max(2, classes))
            with torch.no_grad():
                self.head.weight.copy_(rows if classes > 1 else rows[1:] - rows[:1])

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Int[Tensor, "batch tokens"],
        *,
        texts: Texts | None = None,
    ) -> Float[Tensor, "texts classes"]:
        """float32 logits; the head stays in float32 under autocast. `texts`: of a packed batch."""
        hidden = self.backbone.states(input_ids, attention_mask, texts, last=self.pooling == "last")
        return self.score(pool(hidden, attention_mask, self.pooling, self.backbone.is_decoder, texts))

    def score(self, pooled: Float[Tensor, "texts width"]) -> Float[Tensor, "texts classes"]:
        """float32 logits of texts that were read already."""
        with torch.autocast(pooled.device.type, enabled=False):
            return self.head(pooled)


def label_word_rows(
    backbone: Backbone,
    words: tuple[str, ...],
    classes: int,
    *,
    field: str = "model.label_words",
    remedy: str = ", or use finetune.head_init=zero",
) -> Float[Tensor, "classes hidden"]:
    """Unembedding rows of the words' first tokens without their mean, which no softmax sees.

    ModelError naming `field`, where the words come from, and what else there is to do.
    """
    if len(words) != classes:
        raise ModelError(f"{field}: {len(words)} words for {classes} classes. Give one word a class.")
    first = [_first_id(backbone, word, field) for word in words]
    if len(set(first)) < len(first):
        raise ModelError(
            f"{field}: two of {', '.join(map(repr, words))} begin with the same token of this tokenizer "
            f"(ids {first}). Choose words whose first tokens differ, such as ' no' and ' yes'{remedy}."
        )
    rows = backbone.unembedding(first).cpu()  # to the same bits wherever the model is by now
    return (rows - rows.mean(0)).to(backbone.device)


def _first_id(backbone: Backbone, word: str, field: str) -> int:
    ids = backbone.tokenizer(word, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ModelError(f"{field}: {word!r} gives no token with this tokenizer. Choose another word.")
    return int(ids[0])
