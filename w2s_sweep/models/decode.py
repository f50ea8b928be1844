"""Decoding, greedy or drawn: what follows a prompt depends on it alone, since only prompts of one length share a batch,
and what is drawn for a row and a sample does not depend on what else is."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from w2s_sweep.arrays import Array
from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.hashing import stable_hash
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
    return _decode(model, prompts, None, 1.0, most, end, precision, token_budget, on_progress)


def sample(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    count: int,
    temperature: float,
    seed: int,
    most: int,
    end: int,
    precision: Precision = "bf16",
    token_budget: int = 8192,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[list[int]]]:
    """`count` continuations of each prompt, each token drawn from softmax(logits / temperature); else as `greedy`.

    What is drawn depends on `seed`, the prompt's name and the number of the sample alone: the first samples of many are
    those of few.
    """
    every = [prompt for prompt in prompts for _ in range(count)]
    draws = np.stack([_uniform(seed, name, number, most) for name in names for number in range(count)])
    found = _decode(model, every, draws, temperature, most, end, precision, token_budget, on_progress)
    return [found[start : start + count] for start in range(0, len(found), count)]


def _uniform(seed: int, name: str, number: int, most: int) -> Array:
    """float64 [most] in [0, 1): what decides about each token of one sample."""
    return np.random.Generator(np.random.PCG64([seed, stable_hash("sample", name), number])).random(most)


def _decode(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    draws: Array | None,
    temperature: float,
    most: int,
    end: int,
    precision: Precision,
    token_budget: int,
    on_progress: Callable[[int, int], None],
) -> list[list[int]]:
    ranks = this_process()

    def write(rows: Sequence[int]) -> Tensor:
        device = model.backbone.device
        ids = torch.tensor([prompts[row] for row in rows], dtype=torch.int64, device=device)
        drawn = None if draws is None else torch.from_numpy(draws[list(rows)]).to(device)
        return _continue(model, ids, drawn, temperature, most, end, ranks)

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


def _continue(
    model: LanguageModel,
    ids: Tensor,
    draws: Tensor | None,
    temperature: float,
    most: int,
    end: int,
    ranks: Ranks,
) -> Tensor:
    """int64 [rows, 1 to most]: what follows; meaningless after `end`. States of earlier tokens are kept, not redone.

    `draws` [rows, most]: uniform numbers that tokens are drawn by; None takes the likeliest.
    """

    def choose(texts: Tensor, place: int) -> Tensor:
        logits = model.next_logits(texts, kept)
        return logits.argmax(1) if draws is None else _draw(logits / temperature, draws[:, place])

    cache = DynamicCache(config=model.transformer.config)  # pyright: ignore[reportArgumentType]
    kept = {cache_name(model.transformer): cache, "use_cache": True}
    new = [choose(ids, 0)]
    ended = new[0] == end
    while len(new) < most and not ranks.all_of(bool(ended.all())):
        new.append(choose(new[-1][:, None], len(new)))
        ended |= new[-1] == end
    return torch.stack(new, 1)


def _draw(logits: Tensor, draws: Tensor) -> Tensor:
    """int64 [rows]: the token whose part of the cumulated probability holds the uniform number of its row."""
    shares = logits.double().softmax(1).cumsum(1)
    return torch.searchsorted(shares, draws[:, None].contiguous(), right=True)[:, 0].clamp(max=logits.shape[1] - 1)


def _until(end: int, new: list[int]) -> list[int]:
    return new[: new.index(end)] if end in new else new


def text_after(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text of the tokens `new`, with the blank that some tokenizers drop at the beginning of a text."""
    before = _text(tokenizer, prompt[-1:])
    return _text(tokenizer, [*prompt[-1:], *new])[len(before) :]


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
