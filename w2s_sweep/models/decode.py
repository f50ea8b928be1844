"""Greedy decoding: what follows a prompt depends on it alone, since only prompts of one length share a batch."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from w2s_sweep.config.finetune import Precision
from w2s_sweep.models.backbone import cache_name
from w2s_sweep.models.device import autocast
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.ranks import Ranks, this_process


def greedy(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    most: int,
    end: int,
    precision: Precision = "bf16",
    token_budget: int = 8192,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[int]]:
    """The most likely token after each prompt, and so on until `end` (left out) or until there are `most` tokens.

    `token_budget`: tokens of a batch, prompts and what follows; it changes results by rounding only. `on_progress` gets
    (prompts done, prompts in all) and may raise to stop.
    """
    ranks = this_process()

    def write(rows: Sequence[int]) -> Tensor:
        ids = torch.tensor([prompts[row] for row in rows], dtype=torch.int64, device=model.backbone.device)
        return _continue(model, ids, most, end, ranks)

    found: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    for length, same in groupby(order, key=lambda row: len(prompts[row])):
        rows = list(same)
        size = max(1, token_budget // (length + most)) * ranks.size
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            with torch.no_grad(), autocast(model.backbone.device, precision):
                follows = ranks.spread(part, lambda row: len(prompts[row]), write).tolist()
            found |= {row: _until(end, new) for row, new in zip(part, follows, strict=True)}
            on_progress(len(found), len(prompts))
    ranks.settle(model)
    return [found[row] for row in range(len(prompts))]


def _continue(model: LanguageModel, ids: Tensor, most: int, end: int, ranks: Ranks) -> Tensor:
    """int64 [rows, 1 to most]: what follows; meaningless after `end`. States of earlier tokens are kept, not redone."""
    cache = DynamicCache(config=model.transformer.config)  # pyright: ignore[reportArgumentType]
    kept = {cache_name(model.transformer): cache, "use_cache": True}
    new = [model.next_tokens(ids, kept)]
    ended = new[0] == end
    while len(new) < most and not ranks.all_of(bool(ended.all())):
        new.append(model.next_tokens(new[-1][:, None], kept))
        ended |= new[-1] == end
    return torch.stack(new, 1)


def _until(end: int, new: list[int]) -> list[int]:
    return new[: new.index(end)] if end in new else new


def text_after(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text of the tokens `new`, with the blank that some tokenizers drop at the beginning of a text."""
    before = _text(tokenizer, prompt[-1:])
    return _text(tokenizer, [*prompt[-1:], *new])[len(before) :]


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
