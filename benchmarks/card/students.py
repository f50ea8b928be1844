"""LoRA students of one frozen base that train at the same time, against one after another: 1, 4 and 8 of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.card.made_up import Scale, random_backbone, smallest_and_largest
from benchmarks.card.speed import STEPS, Measured, peak_gb
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import frozen_dtype, token_budget
from w2s_sweep.models.grouped import twin
from w2s_sweep.models.lora import add_lora
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.training.loop import Hooks, Recipe, Training, train_in_steps
from w2s_sweep.training.together import Answer, Gradients

COUNTS = (1, 4, 8)
PAYS = 1.3
"""Times as fast as one after another, from which on training together is worth its place."""


def short(*, tiny: bool) -> list[Scale]:
    """GPT-2 and Llama 3.1 8B with LoRA on rows as long as a sentence (4 to 40 tokens): a step of one student alone
    leaves a GPU idle."""
    found = smallest_and_largest(tiny=tiny)
    return [replace(scale, name=f"{scale.config.model_type} lora", way="lora", longest=40) for scale in found]


def at_once(scale: Scale, base: Backbone, device: torch.device, count: int) -> dict[str, Any]:
    """Tokens a second of all students, each of which has an optimizer batch of its own at every step."""
    measured = Measured(device)
    recipe = Recipe(batch_size=scale.rows, epochs=1, lr=1e-5, seed=0, lr_schedule="constant")
    texts = scale.texts(2 + STEPS)  # the last step is begun and not made
    trainings = [_training(scale, twin(base), texts, replace(recipe, seed=seed), device) for seed in range(count)]
    compute, steps = Gradients(), [next(one) for one in trainings]
    for _ in range(1 + STEPS):
        steps = [one.send(_value(answer)) for one, answer in zip(trainings, compute(steps), strict=True)]
        measured.step()
    seconds = (measured.ends[-1] - measured.ends[0]) / STEPS
    tokens = count * sum(map(len, texts)) / (2 + STEPS)  # of a step, on the mean
    found = {"tokens/s": tokens / seconds, "seconds a step": seconds, "peak GB": peak_gb(device)}
    return found | {"computed apart": compute.apart}


def _value(answer: Answer) -> float:
    if isinstance(answer.value, Exception):
        raise answer.value
    return answer.value


def _training(
    scale: Scale, backbone: Backbone, texts: list[list[int]], recipe: Recipe, device: torch.device
) -> Training[int]:
    model = Classifier(backbone)
    rank, targets = scale.adapters or (8, ())
    add_lora(model, rank=rank, alpha=16.0, targets=list(targets), seed=recipe.seed)
    learner = TextLearner(model, texts, "bf16", token_budget(device, None))
    learner.mode(training=True)
    labels = torch.eye(2, device=device)[[i % 2 for i in range(len(texts))]]
    return train_in_steps(learner, range(len(texts)), labels, CrossEntropy(), recipe, Hooks())


def run(device: str, *, tiny: bool, left: Callable[[], float]) -> dict[str, Any]:
    """Each model with each number of students, as long as there is time: `left` seconds."""
    where, found = torch.device(device), dict[str, Any]()
    for scale in short(tiny=tiny):
        base = random_backbone(scale.config, where, frozen_dtype(where, "bf16"))
        rates: dict[int, dict[str, Any]] = {}
        for count in COUNTS:
            if left() <= 0:
                break
            try:
                rates[count] = at_once(scale, base, where, count)
            except torch.OutOfMemoryError as error:
                rates[count] = {"out of memory": str(error).splitlines()[0]}
        found[scale.name] = rates | {"times one by one": _ratios(rates)}
        del base
    best = [ratio for one in found.values() for ratio in one["times one by one"].values()]
    apart = any(rate.get("computed apart") for one in found.values() for rate in one.values())
    return found | {"pays": None if where.type == "cpu" else max(best, default=0) >= PAYS, "good": not apart}


def _ratios(rates: dict[int, dict[str, Any]]) -> dict[int, float]:
    """All students' tokens a second by those of one."""
    said = {count: rate["tokens/s"] for count, rate in rates.items() if "tokens/s" in rate}
    return {count: rate / said[1] for count, rate in said.items() if 1 in said}
