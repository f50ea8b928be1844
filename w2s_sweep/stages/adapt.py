"""Adapt stage: a backbone trained as a language model on the texts of a task, without any label and any test text, so
that all that is made with it knows the task (Burns et al. 2023, section 5.2.2)."""

from collections.abc import Sequence

import torch

from w2s_sweep.kinds.training import Adapt
from w2s_sweep.models.adapted import save_adapted
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.throughput import speed
from w2s_sweep.training.examples import load_corpus
from w2s_sweep.training.likelihood import NegativeLogLikelihood, SequenceLearner
from w2s_sweep.training.loop import Recipe, predict, train
from w2s_sweep.training.supervision import hooks_of


def build(context: Context[Adapt], texts: Sequence[str]) -> SequenceLearner:
    """The language model before the first step."""
    settings, how = context.settings, context.settings.adapt
    backbone = process_cache.own_backbone(context, settings.precision, frozen=how.adapters is not None)
    model = LanguageModel(backbone, frozen=how.adapters is not None)
    if how.adapters is not None:
        rank, alpha, targets = how.adapters
        add_lora(model, rank=rank, alpha=alpha, targets=targets, seed=how.seed)
    tokens = backbone.tokens(texts, settings.max_tokens)
    budget = fit_device(context, backbone, settings.precision)
    return SequenceLearner(model, tokens, [1] * len(tokens), settings.precision, budget)


def count_predicted(learner: SequenceLearner, rows: Sequence[int]) -> int:
    """Tokens of `rows` that have one before them."""
    return learner.tokens_of(rows) - len(rows)


def nats(context: Context[Adapt], learner: SequenceLearner, rows: Sequence[int]) -> float | None:
    """Mean negative log-likelihood of a token of `rows`; None where there is nothing to predict."""
    return -float(predict(learner, rows, context.stop).sum()) / count_predicted(learner, rows) if rows else None


def run(context: Context[Adapt]) -> None:
    settings, how = context.settings, context.settings.adapt
    inside, outside = load_corpus(context.input("data"), settings.split)
    with this_process().in_turn():
        learner = build(context, inside + outside)
    learnable = [row for row, (length,) in enumerate(learner.lengths) if length > 1]
    rows, test = [row for row in learnable if row < len(inside)], [row for row in learnable if row >= len(inside)]
    before = nats(context, learner, test)
    weights = torch.full((len(inside), 1), len(rows) / max(1, count_predicted(learner, rows)), device=learner.device)
    recipe = Recipe(batch_size=how.batch_size, epochs=how.epochs, lr=how.lr, seed=how.seed)
    train(learner, rows, weights, NegativeLogLikelihood(), recipe, hooks_of(context))
    scale = None if how.adapters is None else how.adapters[1] / how.adapters[0]
    save_adapted(learner.model, context.out, scale)
    after = nats(context, learner, test)
    summary = {"nats_per_token/test_before": before, "nats_per_token/test_after": after}
    counts = {"examples": len(rows), "tokens": count_predicted(learner, rows)}
    way = "full" if how.adapters is None else "lora"
    fast = speed(context, learner.model.backbone, learner.learnt, way, settings.precision)
    context.finish(counts | summary | learner.collator.summary() | fast)
