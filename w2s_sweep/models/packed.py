"""Forward passes without padding: the texts of a batch in one row, positions that begin anew, attention within each
text alone. What a text's states are does not depend on the others, up to rounding.

Both go through registries of transformers, under one name: without `texts` they are those of "sdpa". Whether a model
comes out the same is measured when it is loaded, with two texts; no list of architectures is kept.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from w2s_sweep.data.batches import Texts, pack, pad

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None
# Its first release has neither windows nor fewer key heads.
if varlen_attn is not None and not {"window_size", "enable_gqa"} <= inspect.signature(varlen_attn).parameters.keys():
    varlen_attn = None

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger(__name__)

NAME = "packed"
WIDEST_HEAD = 256
"""Dimensions of a head that the kernel of `varlen_attn` takes."""
UNKNOWN = ("softcap", "position_bias", "s_aux")
"""What some architectures have their attention do beside softmax(q k) v."""

_packing: ContextVar[bool] = ContextVar("packing", default=False)


@contextmanager
def _without_masks() -> Generator[None]:
    token = _packing.set(True)
    try:
        yield
    finally:
        _packing.reset(token)


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    # A mask over the row would be [tokens, tokens]. Models make their masks before their blocks, in the thread that
    # called them, so a context variable is safe here. `_attend` is not: its block may be computed again in the backward
    # pass, in another thread. So that one is told by an argument.
    return None if _packing.get() else ALL_MASK_ATTENTION_FUNCTIONS["sdpa"](*args, **kwargs)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    texts: Texts | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """What transformers asks of an attention: [1, heads, tokens, width] each in, [1, tokens, heads, width] out."""
    if texts is None:
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **settings)
    if odd := [name for name in UNKNOWN if settings.get(name) is not None]:
        raise ValueError(f"attention with {', '.join(odd)} is not computed without padding")
    causal = settings.get("is_causal")
    found = attend(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        texts,
        causal=bool(getattr(module, "is_causal", True) if causal is None else causal),
        window=settings.get("sliding_window"),
        scale=settings.get("scaling"),
        dropout=settings.get("dropout", 0.0),
    )
    return found[None], None


def attend(
    query: Float[Tensor, "tokens heads width"],
    key: Float[Tensor, "tokens groups width"],
    value: Float[Tensor, "tokens groups width"],
    texts: Texts,
    *,
    causal: bool,
    window: int | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "tokens heads width"]:
    """Attention of each token to those of its own text; `window`: to those fewer than so many tokens away."""
    query, key, value = _as_autocast(query), _as_autocast(key), _as_autocast(value)
    if _has_kernel(query, value, dropout):
        return attend_at_once(query, key, value, texts, causal=causal, window=window, scale=scale)
    parts: list[Tensor] = []
    # Texts of one length, which stand next to each other in a batch, are one call.
    runs = [(length, len(list(equal))) for length, equal in groupby(texts.lengths)]
    # Split at once: the gradient of a slice would be as large as all texts together.
    cuts = [states.split([length * count for length, count in runs]) for states in (query, key, value)]
    for (length, count), *cut in zip(runs, *cuts, strict=True):
        mask = _window_mask(length, causal, window, query.device)
        q, k, v = (part.unflatten(0, (count, length)).transpose(1, 2) for part in cut)
        part = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=causal and mask is None,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        parts.append(part.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)


def _window_mask(length: int, causal: bool, window: int | None, device: torch.device) -> Tensor | None:
    """bool [length, length]; None where the window leaves nothing out."""
    if not window or length <= window:
        return None
    back = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (back < window) & ((back >= 0) if causal else (back > -window))


def _as_autocast(states: Tensor) -> Tensor:
    """In the dtype of the autocast, which knows `scaled_dot_product_attention`, yet not `varlen_attn`."""
    kind = states.device.type
    return states.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else states


def _has_kernel(query: Tensor, value: Tensor, dropout: float) -> bool:
    return (
        varlen_attn is not None
        and query.device.type == "cuda"
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] == value.shape[-1] <= WIDEST_HEAD
        and not dropout
    )


def attend_at_once(
    query: Tensor, key: Tensor, value: Tensor, texts: Texts, *, causal: bool, window: int | None, scale: float | None
) -> Tensor:
    """As `attend`, in one call of a kernel that knows where texts begin and end."""
    assert varlen_attn is not None, "see `_has_kernel`"
    longest, back = max(texts.lengths), -1 if not window else window - 1
    found = varlen_attn(
        query,
        key,
        value,
        texts.bounds,
        texts.bounds,
        longest,
        longest,
        scale=scale,
        window_size=(back, 0 if causal else back),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(found, Tensor), "asked for nothing beside"
    return found


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _mask)


def packed_states(
    module: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, texts: Texts, first: int
) -> Float[Tensor, "1 tokens width"]:
    """The last hidden states of texts in one row; `first`: the position of the first token of a text."""
    positions = texts.positions + first
    if module.config._attn_implementation != NAME:  # pyright: ignore[reportPrivateUsage] - transformers has no other
        # An attention of the model's own, which gets its mask from transformers: that tells texts apart by positions
        # that begin anew, where there is no mask yet (and waits for the GPU to look at them).
        return module(input_ids=input_ids, position_ids=positions).last_hidden_state
    with _without_masks():
        return module(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, texts=texts
        ).last_hidden_state


def enable_packing(
    module: PreTrainedModel, first: int, pad_id: int, errors: tuple[type[Exception], ...]
) -> Float[Tensor, "tokens width"] | None:
    """Let `module` read packed batches if its states come out the same; `errors` count as another result.

    The packed states of `two_texts`; None where it reads padded batches.
    """
    config: Any = module.config
    if config._attn_implementation != "sdpa" or "position_ids" not in inspect.signature(module.forward).parameters:
        return None
    module.set_attn_implementation(NAME)
    try:
        packed = _try(module, first, pad_id)
    except errors as error:
        log.info("%s reads padded batches: %s", type(module).__name__, error)
        packed = None
    if packed is None:
        module.set_attn_implementation("sdpa")
    return packed


def _try(module: PreTrainedModel, first: int, pad_id: int) -> Tensor | None:
    """The packed states of two short texts, if they are those of padded ones."""
    embedding: Any = module.get_input_embeddings().weight
    device = embedding.device
    both = two_texts(len(embedding), pad_id)
    ids, mask = pad(both, pad_id)
    with torch.no_grad():
        padded = module(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state[mask.bool()]
        tokens, ones, texts = pack(both)
        packed = packed_states(module, tokens.to(device), ones.to(device), texts.to(device), first)[0]
    return packed if are_same(packed, padded).all() else None


def two_texts(vocabulary: int, pad_id: int, first: int = 5, second: int = 3) -> list[list[int]]:
    """So many tokens of each of two short texts, all of them different where there are as many, none of which pads."""
    parts = (range(first), range(first, first + second))
    return [[(pad_id + 1 + i) % vocabulary for i in part] for part in parts]


def are_same(found: Float[Tensor, "tokens width"], expected: Float[Tensor, "tokens width"]) -> Tensor:
    """bool [tokens]: whether half of the digits of a state are the same."""
    off = (found - expected).float().norm(dim=-1) / expected.float().norm(dim=-1)
    return off < torch.finfo(expected.dtype).eps ** 0.5
