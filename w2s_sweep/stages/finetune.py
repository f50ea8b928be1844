"""Fine-tune stage: a transformer with a linear head, all its weights or low-rank adapters, on one half of the rows. For
pairs the head, or the language model itself, gives each text a reward."""

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.kinds.recipes import LoraRecipe, quantise_of
from w2s_sweep.kinds.training import Finetune
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import autocast
from w2s_sweep.models.lora import save_trained
from w2s_sweep.models.ranks import this_process
from w2s_sweep.models.reward import LanguageScore
from w2s_sweep.predictions import HEAD, WEIGHTS
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.throughput import speed
from w2s_sweep.store.files import write_bytes
from w2s_sweep.training.learners import TransformerLearner, add_adapters
from w2s_sweep.training.loop import Training, finish, predict
from w2s_sweep.training.preference import PreferenceLearner
from w2s_sweep.training.supervision import fit_in_steps, publish_trained, read_supervision, rows_to_predict
from w2s_sweep.training.together import Gradients

Model = Classifier | LanguageScore


class TextLearner(TransformerLearner[Model]):
    """Rows of tokenised texts in, logits out."""

    def __init__(self, model: Model, tokens: list[list[int]], precision: Precision, token_budget: int):
        self.tokens = tokens
        lengths = [tuple(map(len, self.read(row))) for row in range(len(tokens))]
        super().__init__(model, lengths, precision, token_budget)

    def read(self, row: int) -> tuple[list[int], ...]:
        """Tokens of the texts of a row."""
        return (self.tokens[row],)

    def texts(self, rows: Sequence[int]) -> list[list[int]]:
        """What a forward pass of `rows` reads."""
        return [self.tokens[row] for row in rows]

    def arrange(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """The logits of `rows` from what the model gave their `texts`."""
        return scores

    def compute(self, rows: Sequence[int]) -> Tensor:
        batch = self.collator.batch(self.texts(rows))
        with autocast(self.device, self.precision):
            scores = self.model(batch.ids, batch.mask, texts=batch.texts).float()
        return self.arrange(scores, rows)


class PairLearner(TextLearner):
    """Rows of two tokenised texts in, their rewards [of the second text, of the first] out as logits.

    Their softmax is the Bradley-Terry model, sigma(r(first) - r(second)) (Burns et al. 2023, section 4.1.3). A forward
    pass reads the texts of its rows in an order of their own, so that exchanging the two texts of a row exchanges its
    logits and changes no bit of them. `tokens`: all first texts, then all second ones.
    """

    def __init__(self, model: Model, tokens: list[list[int]], precision: Precision, token_budget: int):
        rows = len(tokens) // 2
        self.others = tokens[rows:]
        super().__init__(model, tokens[:rows], precision, token_budget)
        self.reference = torch.zeros(rows, 2, device=self.device)
        """What rewards are counted from, in the order of the logits."""

    def read(self, row: int) -> tuple[list[int], ...]:
        return self.others[row], self.tokens[row]

    def texts(self, rows: Sequence[int]) -> list[list[int]]:
        texts = self._as_given(rows)
        return [texts[i] for i in self._order(texts)]

    def arrange(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        order = self._order(self._as_given(rows))
        place = torch.empty(len(order), dtype=torch.int64)
        place[order] = torch.arange(len(order))
        return scores[place.to(self.device)].view(-1, 2) - self.reference[list(rows)]

    def _as_given(self, rows: Sequence[int]) -> list[list[int]]:
        return [text for row in rows for text in self.read(row)]

    def _order(self, texts: Sequence[list[int]]) -> list[int]:
        return sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))


def refer(context: Context[Any], learner: PairLearner | PreferenceLearner, rows: Sequence[int]) -> None:
    """Count the rewards of `rows` from what the model gives now, before training: once, however often it is resumed."""
    path, ranks = context.work / "reference.safetensors", learner.ranks
    if not ranks.agree(path.is_file()):
        learner.model.eval()
        reference = torch.zeros(len(learner.reference), 2)
        reference[list(rows)] = torch.from_numpy(predict(learner, rows, context.stop))
        if ranks.leads:
            write_bytes(path, save({"reference": reference}))
        ranks.wait()
    else:
        context.on_continue()
    learner.reference = load_file(path)["reference"].to(learner.device)


def build(context: Context[Finetune], classes: int, texts: list[str], pairs: bool = False) -> TextLearner:
    """The model as the settings describe it, before the first step. `texts`: of pairs, as in `Rows.every_text`."""
    settings, finetune = context.settings, context.settings.finetune
    torch.manual_seed(settings.seed)
    frozen = isinstance(finetune, LoraRecipe)
    backbone = process_cache.own_backbone(
        context, finetune.precision, frozen=frozen, dropout=finetune.dropout, quantise=quantise_of(finetune)
    )
    if settings.beta is not None:
        model = LanguageScore(backbone, beta=settings.beta, frozen=frozen)
    else:
        model = Classifier(
            backbone,
            classes=1 if pairs else classes,
            pooling=settings.pooling,
            label_words=finetune.label_words,
        )
    add_adapters(context, model)
    tokens = process_cache.token_ids(context, backbone, texts)
    learner = PairLearner if pairs else TextLearner
    return learner(model, tokens, finetune.precision, fit_device(context, backbone, finetune.precision))


def run(context: Context[Finetune]) -> None:
    finish(run_in_steps(context))


gradients = Gradients
"""What answers the steps of several of these stages that have their frozen base in common."""


def run_in_steps(context: Context[Finetune]) -> Training[None]:
    """As `run`, for whoever computes the gradients that it asks for."""
    supervision = read_supervision(context)
    rows = supervision.rows
    with this_process().in_turn():
        learner = build(context, rows.classes, rows.every_text, rows.others is not None)
    if isinstance(learner, PairLearner) and isinstance(learner.model, LanguageScore):
        refer(context, learner, sorted({*supervision.chosen, *rows_to_predict(context, rows)}))
    learner.mode(training=True)
    summary = yield from fit_in_steps(context, learner, supervision, learner.device)
    learner.mode(training=False)
    if isinstance(context.settings.finetune, LoraRecipe) or context.run.keep_weights:
        save_trained(learner.model, context.out / WEIGHTS)
    else:
        save_trained(learner.model, context.out / HEAD, "head.")  # an implicit reward has none
    how = context.settings.finetune
    tokens = {"tokens": learner.tokens_of(supervision.chosen)}
    summary |= learner.collator.summary() | speed(
        context, learner.model.backbone, learner.learnt, how.name, how.precision, last=context.settings.reads_last
    )
    publish_trained(context, learner, supervision, tokens | summary)
