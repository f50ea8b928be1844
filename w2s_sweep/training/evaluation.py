"""Curves over training: what a stage predicts for test rows at evenly spaced steps on its way.

What is trained does not depend on it: an evaluation changes no parameter, the loop draws its random numbers by step and
not from where a generator stands, and an evaluation's passes are its own. The truth is read for the scores alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.kinds.recipes import LoraRecipe
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.metrics import accuracy, auroc
from w2s_sweep.predictions import CURVE, Evaluated, softmax, write_curve
from w2s_sweep.runner.context import Context
from w2s_sweep.store.files import write_bytes
from w2s_sweep.training.examples import Rows
from w2s_sweep.training.gradient import Learner
from w2s_sweep.training.loop import predict
from w2s_sweep.training.stopping import due

SHARE = 0.1
"""Most of a fine-tuning's work that its evaluations are."""
PASSES_FULL = 3
"""Work of learning an example in forward passes: one forward, and a backward of twice that (Kaplan et al. 2020)."""
PASSES_LORA = 2
"""The same where most weights have no gradient."""
FOLDER = "curve"
"""Of the files of a stage that runs, one for each evaluation."""


@dataclass(frozen=True)
class Evaluation:
    """What a stage that trains predicts on its way, kept where a kill does not reach it."""

    context: Context[Probe] | Context[Finetune]
    learner: Learner
    rows: Rows
    chosen: Sequence[int]
    """The rows that are predicted."""

    def after_step(self, step: int, steps: int) -> None:
        """Predict, where an evaluation is due after this step."""
        if not self.chosen or not due(step, steps, self.context.run.test_evaluations):
            return
        self.learner.mode(training=False)
        logits = predict(self.learner, self.chosen)
        self.learner.mode(training=True)
        self._keep(step, steps, logits)
        probs, truth = softmax(logits), self.rows.truth[list(self.chosen)]
        scores = {"curve/accuracy": accuracy(probs, truth), "curve/auroc": auroc(probs, truth)}
        self.context.log(step, steps, {name: value for name, value in scores.items() if value is not None})

    def _keep(self, step: int, steps: int, logits: np.ndarray) -> None:
        """A file that is named by its step: a run that repeats it after a kill replaces it, so each is there once."""
        folder = self.context.work / FOLDER
        folder.mkdir(exist_ok=True)
        tensors = {"rows": np.asarray(self.chosen, dtype=np.int64), "logits": logits}
        write_bytes(folder / f"{step:09d}.safetensors", save(tensors, {"step": str(step), "steps": str(steps)}))


def evaluation_of(
    context: Context[Probe] | Context[Finetune], learner: Learner, rows: Rows, examples: int, predicted: int
) -> Evaluation:
    """How a stage that learns `examples` an epoch, and predicts so many rows in the end, is evaluated on its way.

    A probe predicts all test rows, which costs next to nothing. A fine-tuning predicts a sample of them, chosen by hash
    and the same for all its evaluations, such that these are `SHARE` of its work.
    """
    settings, times, test = context.settings, context.run.test_evaluations, rows.on("test")
    most = len(test)
    if isinstance(settings, Finetune) and times:
        passes = PASSES_LORA if isinstance(settings.finetune, LoraRecipe) else PASSES_FULL
        most = int(SHARE * (passes * examples * settings.finetune.epochs + predicted) / times)
    order = np.argsort(ranks(hashes_of(rows.ids[test]), settings.split.seed, "curve"), kind="stable")
    return Evaluation(context, learner, rows, sorted(test[place] for place in order[:most]) if times else [])


def publish_curve(context: Context[Probe] | Context[Finetune], rows: Rows) -> None:
    """Write what the evaluations of a stage predicted into its result; nothing where it was not evaluated."""
    found = [_read(path, rows) for path in sorted((context.work / FOLDER).glob("*.safetensors"))]
    # An earlier run of this stage may have had another number of evaluations.
    kept = [one for one in found if due(one.step, one.steps, context.run.test_evaluations)]
    if kept:
        write_curve(context.out / CURVE, kept)


def _read(path: Path, rows: Rows) -> Evaluated:
    with safe_open(path, framework="np") as file:
        about, index = file.metadata(), file.get_tensor("rows")
        return Evaluated(int(about["step"]), int(about["steps"]), rows.ids[index], softmax(file.get_tensor("logits")))
