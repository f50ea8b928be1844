"""Decoding, greedy or drawn: what follows a prompt depends on it alone, but for rounding, and what is drawn for a row
and a sample does not depend on what else is.

Rows of about one length are continued together, as many as memory allows. All samples of a prompt share its one pass,
and rows that have ended leave. Where a model does not come out the same that way (`kept_texts.measure`), only prompts
of one length are together, until the last of them has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from w2s_sweep.arrays import Array
from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.hashing import stable_hash
from w2s_sweep.errors import ModelError, OutOfMemory
from w2s_sweep.models.device import autocast, memory_bytes, products
from w2s_sweep.models.kept_texts import KeptTexts, measure
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.ranks import this_process
from w2s_sweep.models.room import bytes_for_texts

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger(__name__)

ENDED = 8
"""Rows that have ended leave when they are one in so many of those that are continued: the others are copied."""
DRAWN = 2**22
"""Logits that are drawn by at a time: about 28 bytes each."""
UNWRITTEN = -2
"""What is no token, and no end that a caller may name to have none (-1)."""


@dataclass(frozen=True)
class _Wanted:
    """How texts are continued: by `most` tokens at most, until the token `end`."""

    most: int
    end: int
    temperature: float = 1.0


def greedy(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    most: int,
    end: int,
    precision: Precision = "bf16",
    token_budget: int = 8192,
    on_progress: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[list[int] | None]:
    """The most likely token after each prompt, and so on until `end` (left out) or until there are `most` tokens.

    `token_budget`: tokens of a forward pass, see also `room_of`; it changes results by rounding only. After each pass
    `on_progress` gets how many prompts are done, of all ranks, and `stop` says, to all ranks alike, whether to
    leave; prompts that are not done then have None.
    """
    found = _decode(model, prompts, None, 1, _Wanted(most, end), precision, token_budget, on_progress, stop)
    return [None if texts is None else texts[0] for texts in found]


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
    on_progress: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[list[list[int]] | None]:
    """`count` continuations of each prompt, each token drawn from softmax(logits / temperature); else as `greedy`.

    What is drawn depends on `seed`, the prompt's name and the number of the sample alone: the first samples of many are
    those of few.
    """
    draws = np.array([[_uniform(seed, name, number, most) for number in range(count)] for name in names])
    wanted = _Wanted(most, end, temperature)
    return _decode(model, prompts, draws, count, wanted, precision, token_budget, on_progress, stop)


def _uniform(seed: int, name: str, number: int, most: int) -> Array:
    """float64 [most] in [0, 1): what decides about each token of one sample."""
    return np.random.Generator(np.random.PCG64([seed, stable_hash("sample", name), number])).random(most)


def _decode(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    draws: Array | None,
    count: int,
    wanted: _Wanted,
    precision: Precision,
    token_budget: int,
    on_progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> list[list[list[int]] | None]:
    """`draws` [prompts, count, most]: uniform numbers that tokens are drawn by; None takes the likeliest."""
    if not prompts:
        return []
    ranks, device, wide = this_process(), model.backbone.device, WideUnembedding()

    def write(rows: Sequence[int]) -> Tensor:
        drawn = None if draws is None else torch.from_numpy(draws[list(rows)]).to(device).flatten(0, 1)
        texts = _Texts(model, [prompts[row] for row in rows], drawn, count, wanted, measured, token_budget, wide)
        work = texts.passes()
        # Every rank makes a pass, for nothing where it has no text left, as long as any has one.
        while (left := int(ranks.total(texts.left())[0])) and not stop():
            on_progress(max(0, len(prompts) - -(-left // count)))
            if not next(work, False):
                model.next_logits(torch.zeros(1, 1, dtype=torch.int64, device=device), {}, wide)
        return texts.found.view(len(rows), count, wanted.most)

    with torch.no_grad(), autocast(device, precision):
        measured = measure(model, products(device, precision), wide)
        found = ranks.spread(range(len(prompts)), lambda row: len(prompts[row]), write).tolist()
    ranks.settle(model)
    on_progress(sum(map(_is_done, found)))
    return [[_until(wanted.end, new) for new in samples] if _is_done(samples) else None for samples in found]


def require_writing(model: LanguageModel, precision: Precision) -> None:
    """ModelError where what `model` writes would be wrong, before it is trained to write. All ranks ask together."""
    training, device = model.training, model.backbone.device
    with torch.no_grad(), autocast(device, precision):
        measure(model.eval(), products(device, precision), WideUnembedding())
    this_process().settle(model)
    model.train(training)


def _is_done(samples: Sequence[Sequence[int]]) -> bool:
    return all(new[-1] != UNWRITTEN for new in samples)


def _until(end: int, new: list[int]) -> list[int]:
    return new[: new.index(end)] if end in new else new


def room_of(model: LanguageModel, measured: Measured, longest: int, token_budget: int) -> int:
    """Texts that are continued at the same time; `longest`: tokens of the longest with what follows it, `token_budget`:
    tokens of a forward pass.

    Their keys, values and logits take the bytes that `room_beside` gives.
    """
    if not measured.flexible:
        return max(1, token_budget // longest)
    text = measured.token_bytes * longest + 4 * len(model.unembedding)
    return max(1, min(int(room_beside(model) / text), token_budget))


def room_beside(model: LanguageModel) -> float:
    """Bytes for the keys, values and logits of texts on this process's device: at most what was planned for them."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / this_process().size
    found = bytes_for_texts(weights, memory_bytes(model.backbone.device))
    return found if model.room is None else min(found, model.room)


@dataclass
class _Texts:
    """Texts that one process writes, `count` after each prompt: numbered by prompt, then by sample."""

    model: LanguageModel
    prompts: Sequence[Sequence[int]]
    draws: Float[Tensor, "texts most"] | None
    count: int
    wanted: _Wanted
    measured: Measured
    token_budget: int
    wide: WideUnembedding

    def __post_init__(self) -> None:
        self.device = self.model.backbone.device
        self.found = torch.full((len(self.prompts) * self.count, self.wanted.most), UNWRITTEN, device=self.device)

    def left(self) -> int:
        """How many texts are not written to their end."""
        return int((self.found[:, -1] == UNWRITTEN).sum())

    def prompt(self, text: int) -> Sequence[int]:
        return self.prompts[text // self.count]

    def passes(self) -> Generator[bool]:
        """Write all texts; gives True after each forward pass."""
        waiting = sorted(range(len(self.found)), key=lambda text: -len(self.prompt(text)))
        rows = len(waiting)
        while waiting:
            group = self._group(waiting)[:rows]
            try:
                yield from self._write(group)
                waiting = waiting[len(group) :]
                continue
            except torch.OutOfMemoryError as error:
                reason = str(error)
            # Here and not above: an exception that is handled keeps the frames, and with them the tensors, alive.
            if (count := this_process().size) > 1:  # the others are in the middle of this pass, and wait
                raise OutOfMemory(
                    f"out of memory on one of {count} devices while {len(group)} texts were written together. Lower "
                    f"micro_batch_tokens from {self.token_budget}, dataset.max_tokens or max_new_tokens, or ask for "
                    f"more GPUs. {reason}"
                )
            if len(group) == 1:
                raise ModelError(
                    "out of memory: a single text cannot be continued. Lower dataset.max_tokens or max_new_tokens, or "
                    f"ask for a larger GPU. {reason}"
                )
            rows, self.token_budget = len(group) // 2, max(1, self.token_budget // 2)
            log.warning("out of memory: %d texts are continued at a time instead of %d. %s", rows, len(group), reason)
            torch.cuda.empty_cache()  # does nothing where no GPU is in use
            written = (self.found[:, -1] != UNWRITTEN).tolist()
            waiting = [text for text in waiting if not written[text]]  # the others begin anew, with the same numbers

    def _group(self, waiting: Sequence[int]) -> Sequence[int]:
        """The first of those that wait, the longest, that are continued together."""
        width = len(self.prompt(waiting[0]))
        group = waiting[: room_of(self.model, self.measured, width + self.wanted.most, self.token_budget)]
        return group if self.measured.flexible else [text for text in group if len(self.prompt(text)) == width]

    def _write(self, group: Sequence[int]) -> Generator[bool]:
        """Write these texts, the longest prompt first."""
        most, flexible = self.wanted.most, self.measured.flexible
        kept = KeptTexts(self.model, self.wide, flexible=flexible)
        asked = [text // self.count for text in group]
        # A prompt is read once for all of its texts that are here, where they may be repeated.
        read = list(dict.fromkeys(asked)) if flexible else asked
        logits = yield from kept.read([self.prompts[row] for row in read], self.token_budget)
        texts, positions = (
            torch.tensor(numbers, device=self.device) for numbers in (group, [len(self.prompt(text)) for text in group])
        )
        if flexible:
            places = {row: place for place, row in enumerate(read)}
            each = torch.tensor([places[row] for row in asked], device=self.device)
            kept.keep(each, most - 1)
            logits = logits[each]
        done = torch.zeros_like(texts, dtype=torch.bool)
        for step in range(most):
            tokens = self._choose(logits, texts, step)
            self.found[texts, step] = torch.where(done, self.wanted.end, tokens)
            done |= tokens == self.wanted.end
            self.found[texts, step + 1 :] = torch.where(done, self.wanted.end, UNWRITTEN)[:, None]
            yield True
            live = len(texts) - int(done.sum())
            if not live or step + 1 == most:
                return
            if flexible and (len(texts) - live) * ENDED >= len(texts):
                index = (~done).nonzero()[:, 0]
                kept.keep(index, most - 1 - step)
                texts, positions, tokens, done = (part[index] for part in (texts, positions, tokens, done))
            # A text that has ended stays where it is, so its position is one that the model has.
            logits = logits.new_empty(0)  # or those of two tokens would be held during the next pass
            logits = kept.append(tokens, positions)
            positions = positions + ~done

    def _choose(self, logits: Tensor, texts: Tensor, step: int) -> Int[Tensor, " texts"]:
        if self.draws is None:
            return logits.argmax(1)
        return draw(logits, self.draws[texts, step], self.wanted.temperature)


def draw(logits: Float[Tensor, "texts vocabulary"], draws: Float[Tensor, " texts"], temperature: float) -> Tensor:
    """int64 [texts]: the token whose part of the cumulated probability holds the uniform number of its text."""
    found: list[Tensor] = []
    size = max(1, DRAWN // logits.shape[1])
    for part, numbers in zip(logits.split(size), draws.split(size), strict=True):
        shares = (part / temperature).double().softmax(1).cumsum(1)
        found.append(torch.searchsorted(shares, numbers[:, None].contiguous(), right=True)[:, 0])
    return torch.cat(found).clamp(max=logits.shape[1] - 1)


def text_after(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text of the tokens `new`, with the blank that some tokenizers drop at the beginning of a text."""
    before = _text(tokenizer, prompt[-1:])
    return _text(tokenizer, [*prompt[-1:], *new])[len(before) :]


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
