"""Adapt stage: a backbone trained as a language model on the texts of a task, without any label and any test text, so
that all that is made with it knows the task (Burns et al. 2023, section 5.2.2)."""

from collections.abc import Sequence

import torch

from w2s_sweep.models.adapted import save_adapted
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import add_lora
from w2s_sweep.stages import warm
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.likelihood import NegativeLogLikelihood, SequenceLearner
from w2s_sweep.stages.rows import load_corpus
from w2s_sweep.stages.training import hooks_of
from w2s_sweep.train import Recipe, predict, train


def build(context: Context, texts: Sequence[str]) -> SequenceLearner:
    """The language model before the first step."""
    settings, how = context.stage.settings, context.stage.settings["adapt"]
    backbone = warm.own_backbone(context)
    model = LanguageModel(backbone, frozen=how["rank"] is not None)
    if how["rank"] is not None:
        add_lora(model, rank=how["rank"], alpha=how["alpha"], targets=how["targets"], seed=how["seed"])
    tokens = backbone.tokens(texts, settings["max_tokens"])
    return SequenceLearner(model, tokens, [1] * len(tokens), settings["precision"], context.settings.micro_batch_tokens)


def predicted(learner: SequenceLearner, rows: Sequence[int]) -> int:
    """Tokens of `rows` that have one before them."""
    return sum(learner.lengths[row] - 1 for row in rows)


def nats(context: Context, learner: SequenceLearner, rows: Sequence[int]) -> float | None:
    """Mean negative log-likelihood of a token of `rows`; None where there is nothing to predict."""
    return -float(predict(learner, rows, context.stop).sum()) / predicted(learner, rows) if rows else None


def run(context: Context) -> None:
    settings, how = context.stage.settings, context.stage.settings["adapt"]
    inside, outside = load_corpus(context.input("data"), settings.get("split"))
    learner = build(context, inside + outside)
    told = [row for row, length in enumerate(learner.lengths) if length > 1]
    rows, test = [row for row in told if row < len(inside)], [row for row in told if row >= len(inside)]
    before = nats(context, learner, test)
    weights = torch.full((len(inside), 1), len(rows) / max(1, predicted(learner, rows)), device=learner.device)
    recipe = Recipe(batch_size=how["batch_size"], epochs=how["epochs"], lr=how["lr"], seed=how["seed"])
    train(learner, rows, weights, NegativeLogLikelihood(), recipe, hooks_of(context))
    save_adapted(learner.model, context.out, None if how["rank"] is None else how["alpha"] / how["rank"])
    after = nats(context, learner, test)
    summary = {"nats_per_token/test_before": before, "nats_per_token/test_after": after}
    context.finish({"examples": len(rows), "tokens": predicted(learner, rows)} | summary)
