"""A pretrained transformer without its language-model head, and what the rest of the project needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_sweep.data.batches import Texts
from w2s_sweep.data.tokens import tokenise
from w2s_sweep.errors import ModelError, too_long
from w2s_sweep.models.collator import Collator
from w2s_sweep.models.packed import packed_states

if TYPE_CHECKING:
    from jaxtyping import Float

HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
"""Names, or ends of names, under which checkpoints store an unembedding matrix of its own."""


def pad_id(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> int:
    """Id that fills padded positions: the tokenizer's own where the embedding has it."""
    pad = tokenizer.pad_token_id
    return pad if isinstance(pad, int) and pad < vocabulary else 0


def position_table(module: nn.Module) -> nn.Embedding | None:
    """The learned table of absolute positions of a transformer; None where it has relative ones."""
    for name, inner in module.named_modules():
        if isinstance(inner, nn.Embedding) and (name.endswith("wpe") or "position" in name.rsplit(".", 1)[-1]):
            return inner
    return None


def first_position(module: nn.Module) -> int:
    """Number of a text's first position: RoBERTa begins after the one of padding. OPT too, yet adds that itself."""
    table = position_table(module)
    return 0 if table is None or table.padding_idx is None or hasattr(table, "offset") else table.padding_idx + 1


def cache_name(module: nn.Module) -> str:
    """What a transformer calls its cache: `past_key_values` was renamed to `cache` within transformers 5."""
    return "cache" if "cache" in signature(module.forward).parameters else "past_key_values"


@dataclass(frozen=True)
class Backbone:
    """What `load_backbone` returns."""

    module: PreTrainedModel
    """Maps (input_ids, attention_mask) to an output with `last_hidden_state` [batch, tokens, hidden]."""
    tokenizer: PreTrainedTokenizerBase
    layers: int
    """Blocks that were kept."""
    hidden: int
    """Width of the residual stream."""
    is_decoder: bool
    """Whether attention is causal."""
    tied: bool
    """Whether the unembedding is the embedding."""
    folder: Path
    """Where config, tokenizer and safetensors were read."""
    packs: bool = False
    """Whether the model reads packed batches: measured when it was loaded, see `models.packed`."""
    skips: bool = False
    """Whether its last block leaves out what nobody reads: measured too, see `models.last_block`."""
    head: Tensor | None = None
    """[vocabulary, hidden]: an unembedding that was trained after it was stored; None is the stored one."""

    @property
    def embedding(self) -> Tensor:
        """[vocabulary, hidden]: the embedding matrix."""
        table: Any = self.module.get_input_embeddings()
        return table.weight

    @property
    def device(self) -> torch.device:
        return self.embedding.device

    def to(self, device: torch.device) -> Backbone:
        """The same backbone, moved in place."""
        nn.Module.to(self.module, device)
        return self

    @property
    def pad_id(self) -> int:
        """Id that fills padded positions; the mask makes its value irrelevant."""
        return pad_id(self.tokenizer, len(self.embedding))

    @cached_property
    def positions(self) -> int | None:
        """Largest number of tokens a learned table of absolute positions has room for; None with relative positions."""
        table = position_table(self.module)
        return None if table is None else table.num_embeddings - getattr(table, "offset", self.first_position)

    @cached_property
    def first_position(self) -> int:
        """See the function of this name."""
        return first_position(self.module)

    def collator(self) -> Collator:
        """What makes batches for this model where it is now."""
        return Collator(self.pad_id, self.device, packs=self.packs)

    def states(
        self, input_ids: Tensor, attention_mask: Tensor, texts: Texts | None = None, *, last: bool = False
    ) -> Float[Tensor, "batch tokens width"]:
        """The last hidden states of a padded batch (`data.batches.pad`), or with `texts` of a packed one. `last`: those
        of the last token of each text alone are right."""
        if texts is None:
            return self.module(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if last and self.skips:
            texts = replace(texts, read=texts.ends)
        return packed_states(self.module, input_ids, attention_mask, texts, self.first_position)

    @cached_property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks, first to last: the outermost list of `layers` modules."""
        lists = [
            (name.count("."), module)
            for name, module in self.module.named_modules()
            if isinstance(module, nn.ModuleList) and len(module) == self.layers
        ]
        if not lists:
            raise ModelError(
                f"model {self.folder}: {type(self.module).__name__} has no list of {self.layers} blocks, so states "
                "cannot be read between them. Use finetune=full, or another model."
            )
        return min(lists, key=lambda entry: entry[0])[1]

    def tokens(self, texts: Sequence[str], max_tokens: int, room: int = 0) -> list[list[int]]:
        """Ids of each text with `room` left free after it, see `tokenise`; ModelError if they do not fit the embedding
        or the position table."""
        ids = tokenise(self.tokenizer, texts, max_tokens - room, len(self.embedding))
        self.require_positions(max(map(len, ids), default=0), max_tokens)
        return ids

    def require_positions(self, longest: int, max_tokens: int) -> None:
        """ModelError where a text of `longest` tokens, as `max_tokens` allows it, does not fit the position table."""
        if self.positions is not None and longest > self.positions:
            raise ModelError(too_long(longest, max_tokens, self.positions, f"the model in {self.folder}"))

    def unembedding(self, ids: Sequence[int]) -> Tensor:
        """float32 [ids, hidden] on the model's device: rows of the language-model head, which is read from disk where
        it is not tied."""
        matrix = self.embedding if self.tied else self.head
        rows = self._read_rows(ids) if matrix is None else matrix[list(ids)]
        return self._wide_as_hidden(rows.detach()).float().to(self.device)

    def stored_unembedding(self) -> Tensor:
        """float32 [vocabulary, hidden]: a language-model head of its own, on the model's device."""
        matrix = self._read_rows(None) if self.head is None else self.head
        return self._wide_as_hidden(matrix).float().to(self.device)

    def _wide_as_hidden(self, rows: Tensor) -> Tensor:
        if rows.shape[1] != self.hidden:
            raise ModelError(
                f"model {self.folder}: its unembedding has width {rows.shape[1]}, its hidden states {self.hidden}. "
                "Use finetune.head_init=zero, or another model."
            )
        return rows

    def _read_rows(self, ids: Sequence[int] | None) -> Tensor:
        for path in sorted(self.folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    if name.endswith(HEADS):
                        if ids is None:
                            return file.get_tensor(name)
                        matrix = file.get_slice(name)
                        return torch.cat([matrix[row : row + 1] for row in ids])
        raise ModelError(
            f"model {self.folder}: it has no unembedding (no tensor named {' or '.join(HEADS)}, and none is tied to "
            "the embedding), so it gives no words a probability. Use finetune.head_init=zero, or another model."
        )
