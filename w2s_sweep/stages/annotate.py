"""Annotate stage: a language model labels rows of one split itself, by internal coherence in context (Wen et al. 2025,
arXiv 2506.10139, algorithm 1): the search of `coherence` with the other rows and their labels in the model's prompt.

As in the released code a few rows begin with random labels, as many of each class, and mutual predictability is the
mean log-odds of the labels. What differs: consistency is never violated, so it has no weight of its own; the best
labelling met is kept; rows outside the search are predicted with the labels found in the prompt.
"""

import logging
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.errors import DataError, Preempted
from w2s_sweep.kinds.forward import Annotate
from w2s_sweep.models.classifier import label_word_rows
from w2s_sweep.models.forward_passes import Passes
from w2s_sweep.models.prompt import answer_logits, require_prompt
from w2s_sweep.predictions import Predictions
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.forward_passes import KeptPasses
from w2s_sweep.runner.throughput import speed
from w2s_sweep.stages.prompt import template_of
from w2s_sweep.store.files import write_bytes, write_text
from w2s_sweep.training.coherence import Array, ContextJudge, SearchState, consistent, label_agreement, search
from w2s_sweep.training.examples import PREDICTED, Rows, load_rows, predictions_of
from w2s_sweep.training.labels import publish, share_right, with_probs

log = logging.getLogger(__name__)

Group = list[int]
"""Positions in a list of rows."""


def choose_rows(rows: Rows, on: str, most: int, seed: int) -> tuple[list[int], list[Group]]:
    """(at most `most` rows of the split `on`, whole groups next to each other; the groups of several, as positions)."""
    members: dict[str, list[int]] = {}
    names = rows.ids if rows.groups is None else rows.groups
    for row in rows.on(on):
        members.setdefault(str(names[row]), []).append(row)
    drawn = list(members)
    order = np.argsort(ranks(hashes_of(np.array(drawn, dtype=object)), seed, "annotate"), kind="stable")
    chosen: list[int] = []
    groups: list[Group] = []
    for group in (members[drawn[place]] for place in order):
        if len(chosen) + len(group) <= most:
            groups.append(list(range(len(chosen), len(chosen) + len(group))))
            chosen += group
    if len(chosen) < 2:
        raise DataError(
            f"method.rows: {most} rows of {on} are too few to be shown to each other. Raise it to 8 or more, or "
            "dataset.n_train."
        )
    return chosen, [group for group in groups if len(group) > 1]


def begin(rows: int, start: int, groups: Sequence[Group], seed: int) -> Array:
    """Signs with random labels for the first `start` rows, as many of each class, in each of `groups` if there are any;
    0 elsewhere."""
    first = min(start, rows)
    odds = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, rows]))).normal(size=first)
    parts = [[row for row in group if row < first] for group in groups] if groups else [list(range(first))]
    return np.concatenate([consistent(odds, [part for part in parts if part]), np.zeros(rows - first, dtype=np.int64)])


class ContextModel:
    """The model under prompts of its own making; keeps the tokens of every row."""

    def __init__(self, context: Context[Annotate], rows: Rows):
        settings = context.settings
        words = settings.words
        self.context = context
        self.backbone = process_cache.frozen_backbone(context, settings.precision)
        self.collator = self.backbone.collator()
        self.token_budget = fit_device(context, self.backbone, settings.precision)
        template = template_of(settings)
        self.opening = template.opening(self.backbone)
        self.questions = [template.encode(self.backbone, about) for about in rows.asked]
        self.answers = [template.answer(self.backbone, label) for label in range(len(words))]
        self.words = label_word_rows(
            self.backbone, words, len(words), field="dataset.prompt.words or label_words", remedy=""
        )

    def prefix(self, shown: Sequence[tuple[int, int]]) -> list[int]:
        """Tokens of rows and their classes, in this order."""
        return self.opening + [token for row, label in shown for token in (*self.questions[row], *self.answers[label])]

    def require_room(self, shown: Sequence[int]) -> None:
        """ModelError unless all of `shown` fit into the prompt of every row, before anything was searched."""
        longest = max(range(len(self.answers)), key=lambda label: len(self.answers[label]))
        prefix = self.prefix([(row, longest) for row in shown])
        require_prompt(self.backbone, prefix, self.questions, len(shown), "method.rows")

    def odds(self, shown: Sequence[tuple[int, int]], asked: Sequence[int], passes: Passes | None = None) -> Array:
        """float64 [asked]: log-odds of class 1 of each row after the rows `shown`."""
        logits = answer_logits(
            self.backbone,
            self.prefix(shown),
            [self.questions[row] for row in asked],
            self.words,
            precision=self.context.settings.precision,
            token_budget=self.token_budget,
            passes=passes,
            collator=self.collator,
        )
        return (logits[:, 1] - logits[:, 0]).astype(np.float64)


class SearchCheckpoint:
    """The state of the search, in the stage's checkpoint."""

    def __init__(self, context: Context[Annotate], steps: int):
        self.context, self.steps = context, steps
        self.state: SearchState | None = None

    def read(self, rows: int) -> SearchState | None:
        try:
            kept = load_file(self.context.checkpoint)
        except (FileNotFoundError, SafetensorError):
            return None
        if set(kept) != {field.name for field in fields(SearchState)} or len(kept["signs"]) != rows:
            return None
        self.state = SearchState(
            int(kept["step"]), kept["signs"], kept["odds"], float(kept["value"]), kept["found"], float(kept["best"])
        )
        self.context.on_continue()
        log.info("goes on after step %d", self.state.step)
        return self.state

    def after(self, state: SearchState) -> None:
        self.state = state
        self.context.progress(state.step, self.steps)
        stop = self.context.stop()
        if stop or state.step == self.steps or self.context.checkpoint_due():
            self._write()
        if stop:
            raise Preempted

    def leave_if_asked(self) -> None:
        """Between the prompts of one step: the step is lost, those before it are not."""
        if self.context.stop():
            self._write()
            raise Preempted

    def _write(self) -> None:
        if self.state is not None:
            values = {field.name: np.asarray(getattr(self.state, field.name)) for field in fields(SearchState)}
            write_bytes(self.context.checkpoint, save(values))
            self.context.on_save(self.state.step)


def run(context: Context[Annotate]) -> None:
    settings = context.settings
    rows = load_rows(context.input("data"), settings.split)
    if rows.classes != 2:
        raise DataError(f"method: icm needs 2 classes, there are {rows.classes}.")
    chosen, groups = choose_rows(rows, settings.on, settings.rows, settings.seed)
    groups = groups if settings.groups == "halves" else []
    model = ContextModel(context, rows)
    model.require_room(chosen)
    kept = SearchCheckpoint(context, settings.steps)

    def answer(shown: Sequence[tuple[int, int]], asked: Sequence[int]) -> Array:
        kept.leave_if_asked()
        return model.odds([(chosen[place], label) for place, label in shown], [chosen[place] for place in asked])

    judge = ContextJudge(answer, settings.folds)
    signs = search(
        judge,
        kept.read(len(chosen)) or begin(len(chosen), settings.start, groups, settings.seed),
        value=label_agreement,
        alpha=settings.alpha,
        steps=settings.steps,
        seed=settings.seed,
        groups=groups,
        balanced=settings.groups == "balanced",
        on_step=kept.after,
    )
    shown = [(row, int(sign > 0)) for row, sign in zip(chosen, signs.tolist(), strict=True) if sign]
    searched = dict(shown)
    asked = [row for row in rows.on(*PREDICTED) if row not in searched]
    odds = model.odds(shown, asked, KeptPasses(context, "answers"))
    if settings.groups == "balanced":  # of the rows searched over and those beside them, none of the test set
        own = judge.odds(signs)[signs != 0]
        odds -= np.median(np.concatenate([own, odds[rows.splits[asked] != "test"]]))
    labels = _labels(rows, searched, dict(zip(asked, odds.tolist(), strict=True)), harden=settings.harden)
    write_text(context.out / "prompt.txt", str(model.backbone.tokenizer.decode(model.prefix(shown))))
    publish(
        context,
        labels,
        {
            "searched": len(chosen),
            "labelled": len(shown),
            "right": share_right(np.array([label for _, label in shown]), rows.truth[[row for row, _ in shown]]),
            "share of class 1": float(np.mean([label for _, label in shown])),
            "agreement": None if kept.state is None else kept.state.best,
        }
        | model.collator.summary()
        | speed(context, model.backbone, model.collator.read, "forward", settings.precision),
    )


def _labels(rows: Rows, searched: dict[int, int], odds: dict[int, float], *, harden: bool) -> Predictions:
    """Found labels are certain; the others are as sure as the model is, or certain too."""
    index = sorted([*searched, *odds])
    logits = np.zeros((len(index), 2), dtype=np.float32)
    logits[:, 1] = [odds.get(row, 0.0) for row in index]
    said = predictions_of(rows, index, logits, {})
    one = said.probs[:, 1].astype(np.float64)
    if harden:
        one = (one > 0.5).astype(np.float64)
    for place, row in enumerate(index):
        one[place] = searched.get(row, one[place])
    return with_probs(said, np.stack([1 - one, one], 1))
