"""What probes and fine-tuning share: the labels to learn from, the loop with checkpoints, and the predictions left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from w2s_sweep.errors import DataError
from w2s_sweep.losses import Loss, loss_from_plain
from w2s_sweep.losses.conflict import Conflict
from w2s_sweep.metrics import accuracy
from w2s_sweep.plan.stage import Json
from w2s_sweep.predictions import write_predictions
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.rows import (
    PREDICTED,
    Rows,
    joined,
    lesson_rows,
    load_rows,
    mixed_in,
    predictions_of,
    require_labels,
    scores,
    soft_labels,
    weights_of,
)
from w2s_sweep.stopping import EarlyStopping
from w2s_sweep.train import Hooks, Learner, Recipe, predict, train


@dataclass(frozen=True)
class Lesson:
    """What a stage learns from."""

    rows: Rows
    chosen: Sequence[int]
    """Rows that are trained on."""
    labels: np.ndarray
    """float32 [all rows, classes]"""
    weights: np.ndarray | None
    """float32 [all rows]: the factor of each example's loss; None where all count the same."""
    loss: Loss


def lesson_of(context: Context) -> Lesson:
    """Read the data, the supervision and the loss named in the stage's settings."""
    stage = context.stage
    rows = load_rows(context.input("data"), stage.settings["split"])
    loss = loss_from_plain(stage.settings["loss"])
    labels = soft_labels(rows, context.input("labels") if "labels" in stage.inputs else None, loss.reads)
    chosen = lesson_rows(rows, labels, stage.settings, stage.label)
    weights = weights_of(rows, context.input("weights")) if "weights" in stage.inputs else None
    if weights is not None and (missing := int(np.isnan(weights[chosen]).sum())):
        raise DataError(
            f"{stage.label}: {missing} of {len(chosen)} training rows have no weight from the stage before."
        )
    lesson = Lesson(rows, chosen, labels, weights, loss)
    return with_mixed(context, lesson) if "mixed" in stage.inputs else lesson


def with_mixed(context: Context, lesson: Lesson) -> Lesson:
    """The lesson with rows of the input `mixed` beside its own, under their own truth."""
    wanted = context.stage.settings["mixed"]
    more = load_rows(context.input("mixed"), wanted["split"])
    drawn = mixed_in(more, wanted, lesson.rows, len(lesson.chosen))
    rows = joined(lesson.rows, more)
    truth = soft_labels(more, None, lesson.loss.reads)
    if truth.shape[1] != lesson.labels.shape[1]:
        raise DataError(f"method.mix: it has {truth.shape[1]} classes, the labels have {lesson.labels.shape[1]}.")
    before = len(lesson.rows.ids)
    return replace(
        lesson,
        rows=rows,
        chosen=[*lesson.chosen, *(before + row for row in drawn)],
        labels=np.concatenate([lesson.labels, truth]),
        weights=None if lesson.weights is None else np.concatenate([lesson.weights, np.ones(len(truth), np.float32)]),
    )


def recipe_of(finetune: Mapping[str, Json], seed: int) -> Recipe:
    """The hyper-parameters of a stage's `finetune` settings."""
    return Recipe(
        batch_size=finetune["batch_size"],
        epochs=finetune["epochs"],
        lr=finetune["lr"],
        seed=seed,
        lr_schedule=finetune["lr_schedule"],
        lr_warmup=finetune["lr_warmup"],
        betas=(finetune["betas"][0], finetune["betas"][1]),
        weight_decay=finetune["weight_decay"],
        grad_clip=finetune["grad_clip"],
    )


def early_stopping(lesson: Lesson, learner: Learner, settings: Mapping[str, Json], what: str) -> EarlyStopping | None:
    """How the stage chooses among the parameters of its evaluations; None where it takes the last ones."""
    wanted = settings.get("early_stopping")
    if wanted is None:
        return None
    rows = lesson.rows.on("validation")
    if wanted["against"] == "labels":
        require_labels(lesson.labels, rows, f"{what}, early stopping on the validation split")
        target = lesson.labels[rows].argmax(1)
    else:
        target = lesson.rows.truth[rows]

    def score() -> float:
        learner.mode(training=False)
        found = accuracy(predict(learner, rows), target)
        learner.mode(training=True)
        assert found is not None, "the split has validation rows"
        return found

    return EarlyStopping(score, wanted["evaluations"])


def fit(context: Context, learner: Learner, lesson: Lesson, device: torch.device) -> dict[str, Json]:
    """Train `learner`, from the stage's checkpoint if there is one; returns what the summary should say about it."""
    settings = context.stage.settings
    loss, targets = lesson.loss, lesson.labels
    if strength := settings.get("conflict"):
        loss = Conflict(inner=loss, strength=strength)
        targets = np.concatenate([targets, np.eye(lesson.rows.classes, dtype=np.float32)[lesson.rows.truth]], axis=1)
    stopping = early_stopping(lesson, learner, settings, context.stage.label)
    step = train(
        learner,
        lesson.chosen,
        torch.from_numpy(targets).to(device),
        loss,
        recipe_of(settings["finetune"], settings["seed"]),
        hooks_of(context),
        weights=None if lesson.weights is None else torch.from_numpy(lesson.weights).to(device),
        stopping=stopping,
    )
    return {} if stopping is None else {"best step": step, "evaluated against": settings["early_stopping"]["against"]}


def hooks_of(context: Context) -> Hooks:
    """How the loop checkpoints, stops and reports in a stage."""
    return Hooks(
        checkpoint=context.checkpoint,
        due=context.checkpoint_due,
        stop=context.stop,
        resumed=context.resumed,
        saved=context.saved,
        report=context.report,
        evaluated=context.evaluated,
    )


def told_by(context: Context, rows: Rows) -> list[int]:
    """Rows that a trained stage leaves predictions of."""
    return rows.on(*PREDICTED, *context.stage.settings.get("also_predict", ()))


def conclude(context: Context, learner: Learner, lesson: Lesson, summary: Mapping[str, Json]) -> None:
    """Write what the trained learner predicts, and its scores."""
    told = told_by(context, lesson.rows)
    seen = {row: lesson.labels[row] for row in lesson.chosen}
    predictions = predictions_of(lesson.rows, told, predict(learner, told, context.stop), seen)
    write_predictions(context.out / "predictions.parquet", predictions)
    context.finish({"examples": len(lesson.chosen)} | dict(summary) | scores(predictions))
