"""What probes and fine-tuning share: the labels to learn from, the loop with checkpoints, and the predictions left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from w2s_sweep.config.plain import from_plain
from w2s_sweep.losses import AnyLoss, Loss
from w2s_sweep.plan.stage import Json
from w2s_sweep.predictions import write_predictions
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.rows import PREDICTED, Rows, lesson_rows, load_rows, predictions_of, scores, soft_labels
from w2s_sweep.train import Hooks, Learner, Recipe, predict, train


@dataclass(frozen=True)
class Lesson:
    """What a stage learns from."""

    rows: Rows
    chosen: Sequence[int]
    """Rows that are trained on."""
    labels: np.ndarray
    """float32 [all rows, classes]"""


def lesson_of(context: Context) -> Lesson:
    """Read the data and the supervision named in the stage's settings."""
    stage = context.stage
    rows = load_rows(context.input("data"), stage.settings["split"])
    labels = soft_labels(rows, context.input("labels") if "labels" in stage.inputs else None)
    return Lesson(rows, lesson_rows(rows, labels, stage.settings, stage.label), labels)


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


def fit(context: Context, learner: Learner, lesson: Lesson, device: torch.device) -> None:
    """Train `learner`, from the stage's checkpoint if there is one."""
    settings = context.stage.settings
    loss: Loss = from_plain(AnyLoss, settings["loss"])
    hooks = Hooks(
        checkpoint=context.checkpoint,
        due=context.checkpoint_due,
        stop=context.stop,
        resumed=context.resumed,
        saved=context.saved,
        report=context.report,
    )
    labels = torch.from_numpy(lesson.labels).to(device)
    train(learner, lesson.chosen, labels, loss, recipe_of(settings["finetune"], settings["seed"]), hooks)


def conclude(context: Context, learner: Learner, lesson: Lesson, summary: Mapping[str, Json]) -> None:
    """Write what the trained learner predicts, and its scores."""
    told = lesson.rows.on(*PREDICTED)
    seen = {row: lesson.labels[row] for row in lesson.chosen}
    predictions = predictions_of(lesson.rows, told, predict(learner, told, context.stop), seen)
    write_predictions(context.out / "predictions.parquet", predictions)
    context.finish({"examples": len(lesson.chosen)} | dict(summary) | scores(predictions))
