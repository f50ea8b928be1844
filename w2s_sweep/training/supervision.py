"""What probes and fine-tuning share: the labels to learn from, the loop with checkpoints, and the predictions left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from w2s_sweep.errors import ConfigError, DataError
from w2s_sweep.kinds.base import Json, Kind
from w2s_sweep.kinds.recipes import MixedRows, Optimization, StoppingRule
from w2s_sweep.kinds.training import Finetune, Probe, Supervised
from w2s_sweep.losses import AbsentLoss, Loss
from w2s_sweep.losses.conflict import Conflict
from w2s_sweep.metrics import accuracy
from w2s_sweep.predictions import write_predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.evaluation import evaluation_of, publish_curve
from w2s_sweep.training.examples import (
    PREDICTED,
    Rows,
    append_rows,
    draw_mixed,
    load_rows,
    predictions_of,
    require_labels,
    scores,
    soft_labels,
    training_rows,
    weights_of,
)
from w2s_sweep.training.gradient import Learner
from w2s_sweep.training.loop import Hooks, Recipe, Training, finish, predict, train_in_steps
from w2s_sweep.training.stopping import EarlyStopping


@dataclass(frozen=True)
class Supervision:
    """What a stage learns from."""

    rows: Rows
    chosen: Sequence[int]
    """Rows that are trained on."""
    labels: np.ndarray
    """float32 [all rows, classes]"""
    weights: np.ndarray | None
    """float32 [all rows]: the factor of each example's loss; None where all count the same."""
    loss: Loss


def read_supervision(context: Context[Supervised]) -> Supervision:
    """Read the data, the labels and their weights."""
    stage, settings = context.stage, context.settings
    rows, loss = load_rows(context.input("data"), settings.split), settings.loss
    if isinstance(loss, AbsentLoss):
        raise ConfigError([loss.reason])
    labels = soft_labels(rows, context.optional("labels"), loss.reads)
    chosen = training_rows(rows, labels, settings, stage.label)
    weights = weights_of(rows, context.input("weights")) if "weights" in stage.inputs else None
    if weights is not None and (missing := int(np.isnan(weights[chosen]).sum())):
        raise DataError(
            f"{stage.label}: {missing} of {len(chosen)} training rows have no weight from the stage before."
        )
    supervision = Supervision(rows, chosen, labels, weights, loss)
    return supervision if settings.mixed is None else _with_mixed(context, supervision, settings.mixed)


def _with_mixed(context: Context[Supervised], supervision: Supervision, wanted: MixedRows) -> Supervision:
    """The supervision with rows of the input `mixed` beside its own, under their own truth."""
    more = load_rows(context.input("mixed"), wanted.split)
    drawn = draw_mixed(more, wanted, supervision.rows, len(supervision.chosen))
    rows = append_rows(supervision.rows, more)
    truth = soft_labels(more, None, supervision.loss.reads)
    if truth.shape[1] != supervision.labels.shape[1]:
        raise DataError(f"method.mix: it has {truth.shape[1]} classes, the labels have {supervision.labels.shape[1]}.")
    before = len(supervision.rows.ids)
    return replace(
        supervision,
        rows=rows,
        chosen=[*supervision.chosen, *(before + row for row in drawn)],
        labels=np.concatenate([supervision.labels, truth]),
        weights=None
        if supervision.weights is None
        else np.concatenate([supervision.weights, np.ones(len(truth), np.float32)]),
    )


def recipe_of(finetune: Optimization, seed: int) -> Recipe:
    """The hyper-parameters of a stage."""
    return Recipe(
        batch_size=finetune.batch_size,
        epochs=finetune.epochs,
        lr=finetune.lr,
        seed=seed,
        lr_schedule=finetune.lr_schedule,
        lr_warmup=finetune.lr_warmup,
        betas=finetune.betas,
        weight_decay=finetune.weight_decay,
        grad_clip=finetune.grad_clip,
    )


def early_stopping(supervision: Supervision, learner: Learner, wanted: StoppingRule, what: str) -> EarlyStopping:
    """How the stage chooses among the parameters of its evaluations."""
    rows = supervision.rows.on("validation")
    if wanted.against == "labels":
        require_labels(supervision.labels, rows, f"{what}, early stopping on the validation split")
        target = supervision.labels[rows].argmax(1)
    else:
        target = supervision.rows.truth[rows]

    def score() -> float:
        learner.mode(training=False)
        found = accuracy(predict(learner, rows), target)
        learner.mode(training=True)
        assert found is not None, "the split has validation rows"
        return found

    return EarlyStopping(score, wanted.evaluations)


def fit(
    context: Context[Probe] | Context[Finetune], learner: Learner, supervision: Supervision, device: torch.device
) -> dict[str, Json]:
    """`fit_in_steps` to its end."""
    return finish(fit_in_steps(context, learner, supervision, device))


def fit_in_steps(
    context: Context[Probe] | Context[Finetune], learner: Learner, supervision: Supervision, device: torch.device
) -> Training[dict[str, Json]]:
    """Train `learner`, from the stage's checkpoint if there is one; returns what the summary should say about it."""
    settings, rule = context.settings, context.settings.early_stopping
    loss, targets = supervision.loss, supervision.labels
    if settings.conflict:
        loss = Conflict(inner=loss, strength=settings.conflict)
        targets = np.concatenate(
            [targets, np.eye(supervision.rows.classes, dtype=np.float32)[supervision.rows.truth]], axis=1
        )
    evaluation = evaluation_of(
        context,
        learner,
        supervision.rows,
        examples=len(supervision.chosen),
        predicted=len(rows_to_predict(context, supervision.rows)),
    )
    stopping = None if rule is None else early_stopping(supervision, learner, rule, context.stage.label)
    step = yield from train_in_steps(
        learner,
        supervision.chosen,
        torch.from_numpy(targets).to(device),
        loss,
        recipe_of(settings.finetune, settings.seed),
        replace(hooks_of(context), after_step=evaluation.after_step),
        weights=None if supervision.weights is None else torch.from_numpy(supervision.weights).to(device),
        stopping=stopping,
    )
    publish_curve(context, supervision.rows)
    said: dict[str, Json] = {"curve test rows": len(evaluation.chosen)} if evaluation.chosen else {}
    return said if rule is None else said | {"best step": step, "evaluated against": rule.against}


def hooks_of(context: Context[Kind]) -> Hooks:
    """How the loop checkpoints, stops and reports in a stage."""
    return Hooks(
        checkpoint=context.checkpoint,
        due=context.checkpoint_due,
        stop=context.stop,
        resumed=context.on_resume,
        saved=context.on_save,
        report=context.report,
        evaluated=context.on_evaluation,
        seconds=context.seconds,
    )


def rows_to_predict(context: Context[Supervised], rows: Rows) -> list[int]:
    """Rows that a trained stage leaves predictions of."""
    return rows.on(*PREDICTED, *context.settings.also_predict)


def publish_trained(
    context: Context[Supervised], learner: Learner, supervision: Supervision, summary: Mapping[str, Json]
) -> None:
    """Write what the trained learner predicts, and its scores."""
    chosen = rows_to_predict(context, supervision.rows)
    seen = {row: supervision.labels[row] for row in supervision.chosen}
    predictions = predictions_of(supervision.rows, chosen, predict(learner, chosen, context.stop), seen)
    write_predictions(context.out / "predictions.parquet", predictions)
    context.finish({"examples": len(supervision.chosen)} | dict(summary) | scores(predictions))
