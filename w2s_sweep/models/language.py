"""A backbone as a language model: the log-probability of each next token, in float32, with memory for the logits of a
bounded number of positions at a time, forwards and backwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from w2s_sweep.data.batches import Texts

LOGITS = 2**25
"""Logits that are held at a time: 128 MiB of float32, a few hundred positions of a common vocabulary."""
SCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of architectures whose logits are not just hidden states times the unembedding."""


def unembedding_matrix(backbone: Backbone) -> Float[Tensor, "vocabulary width"]:
    """The language-model head of a decoder: its embedding itself where the two are tied, else what is stored on disk.

    Raises ModelError for an encoder, and where the head computes more than one matrix product.
    """
    if not backbone.is_decoder:
        raise ModelError(
            f"model {backbone.folder}: it is an encoder, which gives a text no probability. Use a decoder, or "
            "finetune.reward=head where the examples are pairs."
        )
    require_plain_head(backbone)
    return backbone.embedding if backbone.tied else backbone.stored_unembedding()


def require_plain_head(backbone: Backbone) -> None:
    """ModelError where logits are not hidden states times the unembedding."""
    config = backbone.module.config
    scaled = [name for name in SCALED if getattr(config, name, None) not in (None, 1, 1.0)]
    if scaled:
        raise ModelError(
            f"model {backbone.folder}: {', '.join(scaled)} in its config.json changes the logits in a way that is not "
            "computed here. Use another model."
        )


@dataclass(frozen=True)
class Measured:
    """How a model continues texts, see `kept_texts.measure`."""

    flexible: bool
    """Whether texts of different lengths may be continued together."""
    token_bytes: float
    """Of the keys and values of a token; 0 where `flexible` is not."""


class LanguageModel(nn.Module):
    """`backbone.module` with its unembedding, which trains with it: as the embedding where the two are tied, else as a
    parameter of its own."""

    def __init__(self, backbone: Backbone, *, frozen: bool = False):
        """`frozen`: an unembedding of its own stays as it is. Raises ModelError for a model that is no decoder."""
        super().__init__()
        matrix = unembedding_matrix(backbone)
        self.backbone = backbone
        self.transformer = backbone.module
        self.head = None if backbone.tied else nn.Parameter(matrix, requires_grad=not frozen)
        self.measured: Measured | None = None
        """How it continues texts, once that was asked."""
        self.room: float | None = None
        """Bytes that were planned for the keys, values and logits of texts that it continues; None: nobody did."""

    @property
    def unembedding(self) -> Float[Tensor, "vocabulary width"]:
        return self.backbone.embedding if self.head is None else self.head

    def describe_writing(self) -> dict[str, str]:
        """For a stage's summary: which texts it continues together, once it wrote any."""
        if self.measured is None:
            return {}
        return {"decoding": "together" if self.measured.flexible else "equal lengths"}

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Int[Tensor, "batch tokens"],
        wanted: Int[Tensor, "batch tokens"] | None = None,
        *,
        texts: Texts | None = None,
    ) -> Float[Tensor, " texts"]:
        """float32 [texts]: the log-probability of the tokens marked in `wanted` together, each given all before it.

        None marks all tokens; the first one of a text follows on nothing and never counts. `texts`: of a packed batch.
        """
        hidden = self.backbone.states(input_ids, attention_mask, texts)
        marked = attention_mask if wanted is None else wanted
        if texts is None:
            return token_log_probs(hidden, self.unembedding, input_ids, marked).sum(1)
        found = token_log_probs(hidden, self.unembedding, input_ids, marked * (texts.positions > 0))
        # The log-probability of token t is at t - 1; nothing is said of the very first one.
        return torch.stack([part.sum() for part in nn.functional.pad(found[0], (1, 0)).split(texts.lengths)])

    def next_logits(
        self, ids: Int[Tensor, "batch tokens"], reading: Mapping[str, Any], wide: WideUnembedding
    ) -> Float[Tensor, "batch vocabulary"]:
        """float32: of the token after each text; `reading`: what else the transformer is given, such as a cache of
        earlier tokens."""
        hidden = self.transformer(input_ids=ids, **reading).last_hidden_state
        with torch.autocast(hidden.device.type, enabled=False):  # rounding to bf16 would make ties
            return hidden[:, -1].float() @ wide.of(self.unembedding).T


class WideUnembedding:
    """An unembedding in float32 for as long as no weight changes: one in 16 bits is converted once, not for every
    token."""

    def __init__(self) -> None:
        self._wide: Tensor | None = None

    def of(self, matrix: Float[Tensor, "vocabulary width"]) -> Float[Tensor, "vocabulary width"]:
        """float32; `matrix` is the same in all calls."""
        if matrix.dtype == torch.float32:  # not kept: several ranks have it whole during a pass alone
            return matrix
        if self._wide is None:
            self._wide = matrix.detach().float()
        return self._wide


def token_log_probs(
    hidden: Float[Tensor, "batch tokens width"],
    unembedding: Float[Tensor, "vocabulary width"],
    ids: Int[Tensor, "batch tokens"],
    mask: Int[Tensor, "batch tokens"],
) -> Float[Tensor, "batch next"]:
    """float32 [batch, tokens - 1]: at t the log-probability of token t + 1 given the tokens up to t; 0 for padding.

    `hidden`: the last hidden states of a decoder, after its final norm. Products are in float32 whatever the autocast.
    A backward pass computes the logits again instead of keeping them.
    """
    real = mask[:, 1:] != 0
    states, wanted = hidden[:, :-1][real], ids[:, 1:][real]
    size = max(1, LOGITS // len(unembedding))
    parts = [
        checkpoint(_log_probs, state, unembedding, token, use_reentrant=False, preserve_rng_state=False)
        for state, token in zip(states.split(size), wanted.split(size), strict=True)
    ]
    out = torch.zeros(real.shape, dtype=torch.float32, device=hidden.device)
    return out.masked_scatter(real, torch.cat(parts)) if len(states) else out + 0 * hidden.float().sum()


def _log_probs(states: Tensor, unembedding: Tensor, wanted: Tensor) -> Tensor:
    # Not in bf16, whose rounding of logits is that of the likelihoods; TF32 (see `models.device`) holds states that
    # were bf16 exactly.
    with torch.autocast(states.device.type, enabled=False):
        logits = states.float() @ unembedding.float().T
    return logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1)
