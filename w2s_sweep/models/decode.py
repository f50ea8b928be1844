"""Decoding, greedy or drawn: what follows a prompt depends on it alone, but for rounding, and what is drawn for a row
and a sample does not depend on what else is.

Rows of different lengths share a batch: those that have ended leave it, others take their place, and all samples of a
prompt share its one pass. Where a model does not come out the same that way (`kept_texts.measure`), only prompts of one
length share a batch, until the last of them has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from w2s_sweep.arrays import Array
from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.hashing import stable_hash
from w2s_sweep.models.continued import Continued, Wanted, room_of
from w2s_sweep.models.device import autocast, products
from w2s_sweep.models.kept_texts import measure
from w2s_sweep.models.language import LanguageModel, WideUnembedding
from w2s_sweep.models.ranks import this_process


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

    `token_budget`: tokens of a forward pass, see also `continued.room_of`; it changes results by rounding only.
    `on_progress` gets (prompts done, prompts in all), of all ranks, and may raise to stop.
    """
    found = _decode(model, prompts, None, Wanted(most, end), precision, token_budget, on_progress)
    return [texts[0] for texts in found]


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
    draws = np.array([[_uniform(seed, name, number, most) for number in range(count)] for name in names])
    return _decode(model, prompts, draws, Wanted(most, end, temperature), precision, token_budget, on_progress)


def _uniform(seed: int, name: str, number: int, most: int) -> Array:
    """float64 [most] in [0, 1): what decides about each token of one sample."""
    return np.random.Generator(np.random.PCG64([seed, stable_hash("sample", name), number])).random(most)


def _decode(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    draws: Array | None,
    wanted: Wanted,
    precision: Precision,
    token_budget: int,
    on_progress: Callable[[int, int], None],
) -> list[list[list[int]]]:
    """`draws` [prompts, samples, most]: uniform numbers that tokens are drawn by; None takes the likeliest."""
    if not prompts:
        return []
    ranks, device, wide = this_process(), model.backbone.device, WideUnembedding()
    count = 1 if draws is None else draws.shape[1]

    def write(rows: Sequence[int]) -> Tensor:
        drawn = None if draws is None else torch.from_numpy(draws[list(rows)]).to(device).flatten(0, 1)
        longest = max(map(len, prompts)) + wanted.most
        room = room_of(model, measured, longest, token_budget)
        work = Continued(model, [prompts[row] for row in rows], drawn, count, wanted, measured.flexible, room, wide)
        return work.run(lambda done: on_progress(min(done, len(prompts)), len(prompts)))

    with torch.no_grad(), autocast(device, precision):
        measured = measure(model, products(device, precision), wide)
        # All rows at once: every rank makes a pass as long as any of them has a row left.
        found = ranks.spread(range(len(prompts)), lambda row: len(prompts[row]), write).tolist()
    ranks.settle(model)
    on_progress(len(prompts), len(prompts))
    return [[_until(wanted.end, new) for new in samples] for samples in found]


def _until(end: int, new: list[int]) -> list[int]:
    return new[: new.index(end)] if end in new else new


def text_after(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text of the tokens `new`, with the blank that some tokenizers drop at the beginning of a text."""
    before = _text(tokenizer, prompt[-1:])
    return _text(tokenizer, [*prompt[-1:], *new])[len(before) :]


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
