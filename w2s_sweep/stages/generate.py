"""Generate stage: a language model learns to continue each text by its target, or by what its supervisor wrote there.

The loss of an example is -log p(answer and its end | text): cross-entropy with all weight on one answer, which is what
a label is at temperature 0 (Burns et al. 2023, section 4.1). What the model writes goes to generated.parquet.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.tasks import find
from w2s_sweep.kinds.base import Json
from w2s_sweep.kinds.recipes import FullRecipe, LoraRecipe, quantise_of
from w2s_sweep.kinds.training import Generate
from w2s_sweep.models.decode import greedy, require_writing, text_after
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import save_trained
from w2s_sweep.models.ranks import this_process
from w2s_sweep.predictions import FILE, TEXTS, TEXTS_SCHEMA, WEIGHTS, Predictions, write_predictions
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_writer
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.throughput import speed
from w2s_sweep.training.answers import (
    Prompts,
    Reading,
    Written,
    answers_of,
    count_cut,
    read_prompts,
    reading_of,
    same,
    targets_of,
)
from w2s_sweep.training.examples import PREDICTED, Rows, load_rows, rows_of_portion, scores
from w2s_sweep.training.kept import answer_in_chunks
from w2s_sweep.training.labels import with_probs
from w2s_sweep.training.learners import TransformerLearner, add_adapters
from w2s_sweep.training.likelihood import NegativeLogLikelihood, SequenceLearner
from w2s_sweep.training.loop import train
from w2s_sweep.training.stopping import EarlyStopping
from w2s_sweep.training.stored import restore_trained, trained_stage
from w2s_sweep.training.supervision import hooks_of, recipe_of

CHUNK = 512
"""Rows that are written together, see `answer_in_chunks`."""


def build(context: Context[Generate]) -> LanguageModel:
    """The model as the settings describe it, before the first step."""
    settings, finetune = context.settings, context.settings.finetune
    torch.manual_seed(settings.seed)
    frozen = isinstance(finetune, LoraRecipe)
    backbone = process_cache.own_backbone(
        context, finetune.precision, frozen=frozen, dropout=finetune.dropout, quantise=quantise_of(finetune)
    )
    model = LanguageModel(backbone, frozen=frozen)
    add_adapters(context, model)
    model.train()
    return model


def reopen(context: Context[Any]) -> tuple[Context[Generate], LanguageModel]:
    """The stage of the input `trained` as one to go on with, and its model as it left it; DataError where it kept no
    weights."""
    trained = trained_stage(context, context.settings.trained)
    model = build(trained)
    restore_trained(context, model)
    return trained, model


def learner_of(model: LanguageModel, prompts: Prompts, precision: Precision, token_budget: int) -> SequenceLearner:
    """The model on its device, or shared out among those of several processes."""
    starts = [len(prompt) for prompt in prompts.rows]
    return SequenceLearner(model, prompts.sequences(), starts, precision, token_budget)


def write_answers(
    learner: TransformerLearner[LanguageModel],
    prompts: Prompts,
    rows: Sequence[int],
    on_progress: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Written | None]:
    """What the model, which ends up not training, writes after each of `rows`; None where it stopped first."""
    found = greedy(
        learner.model.eval(),
        [prompts.rows[row] for row in rows],
        most=prompts.most,
        end=prompts.end,
        precision=learner.precision,
        token_budget=learner.token_budget,
        on_progress=on_progress,
        stop=stop,
    )
    return [
        None if new is None else written_after(learner.model, prompts, row, new)
        for row, new in zip(rows, found, strict=True)
    ]


def written_after(model: LanguageModel, prompts: Prompts, row: int, new: Sequence[int]) -> Written:
    """The tokens `new` after the text of a row, in words."""
    text = text_after(model.backbone.tokenizer, prompts.rows[row], new)
    return Written(text, ended=len(new) < prompts.most)


def early_stopping(
    context: Context[Generate], learner: SequenceLearner, prompts: Prompts, rows: Rows, supervision: Path | None
) -> EarlyStopping | None:
    """Keep the parameters that write most of the answers of the validation split; None takes the last ones."""
    wanted = context.settings.early_stopping
    if wanted is None:
        return None
    judge = supervision if wanted.against == "labels" else None
    held_out = rows.on("validation")
    answers = answers_of(rows, judge, held_out, f"{context.stage.label}, early stopping on the validation split")
    read = reading_of(context.stage.hints.dataset.task)

    def score() -> float:
        # A stop is heard after it, between two steps: half an evaluation would be made again from its beginning.
        written = zip(held_out, write_answers(learner, prompts, held_out), strict=True)
        learner.mode(training=True)
        return float(np.mean([one is not None and same(read, one.text, answers[row]) for row, one in written]))

    return EarlyStopping(score, wanted.evaluations)


def text_predictions(
    rows: Rows, asked: Sequence[int], written: Sequence[str], answers: Mapping[int, str], read: Reading
) -> Predictions:
    """Class 1 is "the text answers what the target does", the truth of every row; `seen` is the same of the answer it
    trained on."""
    targets, index = targets_of(rows), list(asked)
    right = np.array([same(read, text, targets[row]) for row, text in zip(index, written, strict=True)])
    seen = np.full((len(index), 2), np.nan, dtype=np.float32)
    for place, row in enumerate(index):
        if row in answers:
            seen[place] = np.eye(2)[int(same(read, answers[row], targets[row]))]
    probs = np.eye(2, dtype=np.float32)[right.astype(int)]
    return with_probs(Predictions(rows.ids[index], rows.splits[index], rows.truth[index], probs, probs, seen), probs)


def legality(task: str, texts: Sequence[str], written: Sequence[str]) -> list[bool | None]:
    """Whether each answer is a legal one; None where that is not known."""
    legal = find(task).legal
    return [None if legal is None else legal(text, answer) for text, answer in zip(texts, written, strict=True)]


def publish_texts(
    context: Context[Any],
    rows: Rows,
    written: Mapping[int, str],
    answers: Mapping[int, str],
    summary: Mapping[str, Json],
) -> None:
    """Write the texts by row, and how right they are."""
    texts = list(written.values())
    task = context.stage.hints.dataset.task
    predictions = text_predictions(rows, list(written), texts, answers, reading_of(task))
    write_predictions(context.out / FILE, predictions)
    legal = legality(task, [rows.texts[row] for row in written], texts)
    columns = {"id": predictions.ids.tolist(), "text": texts, "legal": legal}
    pq.write_table(pa.table(columns, schema=TEXTS_SCHEMA), context.out / TEXTS)
    context.finish({"examples": len(answers)} | dict(summary) | scores(predictions))


def _write_all(
    context: Context[Any], learner: TransformerLearner[LanguageModel], prompts: Prompts, rows: Rows
) -> dict[int, Written]:
    """Row -> what the model writes after it, for all rows that are predicted; what is done when the stage is asked to
    stop is kept for the next run."""
    names = {row: str(rows.ids[row]) for row in rows.on(*PREDICTED)}
    found = answer_in_chunks(
        context,
        names,
        lambda row: len(prompts.rows[row]),
        lambda part, on_progress: write_answers(learner, prompts, part, on_progress, context.stop),
        CHUNK,
    )
    return {row: Written(*found[row]) for row in names}


def publish_trained(
    context: Context[Any],
    learner: TransformerLearner[LanguageModel],
    prompts: Prompts,
    rows: Rows,
    answers: Mapping[int, str],
    recipe: FullRecipe | LoraRecipe,
    about: Mapping[str, Json],
) -> None:
    """Keep what training on `answers` changed, and what the model writes now; `about` says more of the training."""
    model = learner.model
    if isinstance(recipe, LoraRecipe) or context.run.keep_weights:
        save_trained(model, context.out / WEIGHTS)
    written = _write_all(context, learner, prompts, rows)
    summary = {"tokens": learner.tokens_of(list(answers)), "cut": count_cut(written.values())} | dict(about)
    summary |= learner.collator.summary() | model.describe_writing()
    summary |= speed(context, model.backbone, learner.learnt, recipe.name, recipe.precision)
    texts = {row: one.text for row, one in written.items()}
    publish_texts(context, rows, texts, answers, summary)


def run(context: Context[Generate]) -> None:
    stage, settings, finetune = context.stage, context.settings, context.settings.finetune
    rows = load_rows(context.input("data"), settings.split)
    chosen = rows_of_portion(rows, settings)
    supervision = context.optional("labels")
    answers = answers_of(rows, supervision, chosen, stage.label, partial=settings.unlabelled == "skip")
    chosen = [row for row in chosen if row in answers]
    with this_process().in_turn():
        model = build(context)
        prompts = read_prompts(context, model.backbone, rows, answers)
        budget = fit_writer(context, model, finetune.precision)
        learner = learner_of(model, prompts, finetune.precision, budget)
    require_writing(model, finetune.precision)
    step = train(
        learner,
        chosen,
        torch.ones(len(rows.ids), 1, device=learner.device),
        NegativeLogLikelihood(),
        recipe_of(finetune, settings.seed),
        hooks_of(context),
        stopping=early_stopping(context, learner, prompts, rows, supervision),
    )
    wanted = settings.early_stopping
    best = {} if wanted is None else {"best step": step, "evaluated against": wanted.against}
    publish_trained(context, learner, prompts, rows, answers, finetune, best)
