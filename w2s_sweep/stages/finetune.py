"""Fine-tune stage: a transformer with a linear head, all its weights or low-rank adapters, on one half of the rows."""

from collections.abc import Sequence

import torch
from safetensors.torch import save_file
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import micro_batches, pad
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import autocast, pick_device
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable, trainable_state
from w2s_sweep.stages import warm
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.training import conclude, fit, lesson_of


class TextLearner:
    """Rows of tokenised texts in, logits out."""

    def __init__(
        self, model: Classifier, tokens: list[list[int]], pad_id: int, precision: Precision, token_budget: int
    ):
        self.device = pick_device()
        self.model = model.to(self.device)
        self.tokens, self.pad_id = tokens, pad_id
        self.lengths = [len(ids) for ids in tokens]
        self.precision: Precision = precision
        self.token_budget = token_budget

    def logits(self, rows: Sequence[int]) -> Tensor:
        ids, mask = pad([self.tokens[row] for row in rows], self.pad_id)
        with autocast(self.device, self.precision):
            return self.model(ids.to(self.device), mask.to(self.device)).float()

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        return micro_batches(self.lengths, rows, self.token_budget)

    def trainable(self) -> dict[str, Tensor]:
        return dict(trainable(self.model))

    def penalty(self) -> Tensor | None:
        return None

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def build(context: Context, classes: int, texts: list[str]) -> TextLearner:
    """The model as the settings describe it, before the first step."""
    settings = context.stage.settings
    finetune = settings["finetune"]
    torch.manual_seed(settings["seed"])
    backbone = load_backbone(
        warm.model_folder(context.stage),
        keep_layers=settings["model"]["keep_layers"],
        dropout=finetune["dropout"],
    )
    words = finetune.get("label_words")
    model = Classifier(
        backbone, classes=classes, pooling=settings["pooling"], label_words=None if words is None else tuple(words)
    )
    if finetune["name"] == "lora":
        add_lora(
            model,
            rank=finetune["rank"],
            alpha=finetune["alpha"],
            targets=finetune["targets"],
            seed=settings["seed"],
            dropout=finetune["dropout"],
        )
    model.train()
    tokens = warm.token_ids(context.stage, backbone, texts)
    return TextLearner(model, tokens, backbone.pad_id, finetune["precision"], context.settings.micro_batch_tokens)


def run(context: Context) -> None:
    finetune = context.stage.settings["finetune"]
    lesson = lesson_of(context)
    learner = build(context, lesson.rows.classes, lesson.rows.texts)
    summary = fit(context, learner, lesson, learner.device)
    learner.mode(training=False)
    weights = trainable_state(learner.model)
    if finetune["name"] == "lora" or context.settings.keep_weights:
        save_file(weights, context.out / "weights.safetensors")
    else:
        head = {name: value for name, value in weights.items() if name.startswith("head.")}
        save_file(head, context.out / "head.safetensors")
    conclude(context, learner, lesson, {"tokens": sum(learner.lengths[row] for row in lesson.chosen)} | summary)
