"""Texts that are continued, the likeliest ones and samples: this project's decoding beside transformers' `generate`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.card.made_up import Scale, random_writer, shape_of, smallest_and_largest
from benchmarks.card.speed import free, peak_gb, wait
from w2s_sweep.config.finetune import Precision
from w2s_sweep.kinds.memory import Memory, fit, running
from w2s_sweep.models.decode import greedy, sample
from w2s_sweep.models.device import autocast, frozen_dtype, memory_bytes, products, token_budget
from w2s_sweep.models.kept_texts import measure
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding

Texts = list[list[int]]
SAMPLES = 4


@dataclass(frozen=True)
class Work:
    """What every loop has to do."""

    model: LanguageModel
    theirs: Any
    """The same model, as transformers has it."""
    prompts: Sequence[Sequence[int]]
    most: int
    """Tokens that are written after each."""
    end: int
    checked: Measured
    """What the check of two texts says, which is once for a model and in no time here."""
    precision: Precision = "fp32"
    tokens: int = 2048
    """Of a forward pass."""


def check_of(model: LanguageModel, precision: Precision) -> Measured:
    """As decoding asks for it once."""
    device = model.backbone.device
    with torch.no_grad(), autocast(device, precision):
        return measure(model, products(device, precision), WideUnembedding())


def ours(work: Work, count: int, *, flexible: bool) -> Texts:
    """This project's; with `count` samples of each prompt, or the likeliest text where that is 0."""
    work.model.measured = work.checked if flexible else Measured(flexible=False, token_bytes=0)
    how: dict[str, Any] = {"most": work.most, "end": work.end, "precision": work.precision, "token_budget": work.tokens}
    if not count:
        return [text for text in greedy(work.model, work.prompts, **how) if text is not None]
    names = [str(row) for row in range(len(work.prompts))]
    drawn = sample(work.model, work.prompts, names, count=count, temperature=1.0, seed=0, **how)
    return [text for texts in drawn if texts is not None for text in texts]


def generate(work: Work, count: int) -> Texts:
    """The same by transformers: all prompts in one batch, padded on the left."""
    device, width = work.theirs.device, max(map(len, work.prompts))
    ids = torch.tensor([[work.end] * (width - len(prompt)) + [*prompt] for prompt in work.prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in work.prompts], device=device)
    how: dict[str, Any] = {"do_sample": False}
    if count:
        how = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_return_sequences": count}
    with autocast(device, work.precision):
        found = work.theirs.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=work.most,
            eos_token_id=work.end,
            pad_token_id=work.end,
            use_cache=True,
            **how,
        )
    texts: Texts = found[:, width:].tolist()
    return [text[: text.index(work.end)] if work.end in text else text for text in texts]


def written(work: Work, texts: Texts) -> int:
    """Tokens, ends included."""
    return sum(min(len(text) + 1, work.most) for text in texts)


LOOPS: Mapping[str, Callable[[Work, int], Texts]] = {
    "ours": partial(ours, flexible=True),
    "equal lengths": partial(ours, flexible=False),
    "generate": generate,
}


def prompts_of(scale: Scale, count: int, longest: int) -> Texts:
    """Random tokens in eight lengths, up to `longest`; none is the end of text."""
    draw = np.random.default_rng(0)
    lengths = [max(1, longest * (1 + row % 8) // 8) for row in range(count)]
    return [draw.integers(1, scale.config.vocab_size, size=n).tolist() for n in lengths]


def run(device: str, *, tiny: bool, left: Callable[[], float]) -> dict[str, Any]:
    """Each model with each loop, as long as there is time: `left` seconds."""
    where, found = torch.device(device), dict[str, Any]()
    for scale in smallest_and_largest(tiny=tiny):
        name = f"{scale.config.model_type} decoding"
        found[name] = _compare(scale, where, tiny=tiny, left=left) if left() > 0 else {"skipped": "the time is up"}
    loops = [loop for one in found.values() for loop in one.values() if isinstance(loop, dict)]
    return found | {"good": all(loop.get("all written", True) for loop in loops)}


def _compare(scale: Scale, device: torch.device, *, tiny: bool, left: Callable[[], float]) -> dict[str, Any]:
    free(device)
    backbone, theirs = random_writer(scale.config, device, frozen_dtype(device, "bf16"))
    model = LanguageModel(backbone, frozen=True).eval()
    prompts, most = prompts_of(scale, 8 if tiny else 32, 8 if tiny else 160), 6 if tiny else 64
    longest, there = max(map(len, prompts)) + most, memory_bytes(device)
    need, tokens = running(shape_of(scale.config, backbone.module), "bf16", longest, writes=longest), None
    if there is not None:
        how = fit(need, there)
        if how is None:
            return {"skipped": "by the plan it does not fit on this device"}
        model.room, tokens = how.room, how.tokens
    tokens = tokens or token_budget(device, None)
    work = Work(model, theirs, prompts, most, 0, check_of(model, "bf16"), "bf16", tokens)
    loops = {name: loop for name, loop in LOOPS.items() if name != "equal lengths" or scale.way == "full"}
    found: dict[str, Any] = {"decoding": "together" if work.checked.flexible else "equal lengths"}
    for count in (0, SAMPLES):
        texts: dict[str, Texts] = {}
        for name, loop in loops.items():
            said = f"{name}, {f'{count} samples' if count else 'likeliest'}"
            if left() <= 0:
                found[said] = {"skipped": "the time is up"}
                continue
            try:
                texts[name], found[said] = _timed(work, loop, count)
            except torch.OutOfMemoryError as error:
                found[said] = {"out of memory": str(error).splitlines()[0]}
                continue
            if found[said]["peak GB"] and name == "ours":
                planned = (_held(need, work, max(1, count)) + _head_of(theirs)) / 1e9
                found[said] |= {"predicted GB": planned, "predicted by peak": planned / found[said]["peak GB"]}
            if not count and "ours" in texts:
                same = sum(a == b for a, b in zip(texts["ours"], texts[name], strict=True))
                found[said]["texts as ours"] = same / len(prompts)
    return found


def _held(need: Memory, work: Work, count: int) -> float:
    """Bytes that are planned for these texts, which may be fewer than there is room for."""
    writing = need.writing
    assert writing is not None
    tokens, texts = sum(map(len, work.prompts)), count * len(work.prompts)
    room = texts * writing.text if work.model.room is None else min(texts * writing.text, work.model.room)
    return writing.device(min(tokens, work.tokens), room)


def _head_of(model: Any) -> int:
    """Bytes of an unembedding of its own, of which ours is a copy."""
    return 0 if model.config.tie_word_embeddings else model.lm_head.weight.nbytes


def _timed(work: Work, loop: Callable[[Work, int], Texts], count: int) -> tuple[Texts, dict[str, Any]]:
    """All texts, after some tokens for which kernels are still being chosen."""
    device = work.model.backbone.device
    loop(replace(work, most=2), count)
    free(device)
    wait(device)
    began = time.perf_counter()
    texts = loop(work, count)
    wait(device)
    seconds = time.perf_counter() - began
    wanted = len(work.prompts) * max(1, count)
    return texts, {
        "tokens/s": written(work, texts) / seconds,
        "seconds": seconds,
        "peak GB": peak_gb(device),
        "all written": len(texts) == wanted,
    }
