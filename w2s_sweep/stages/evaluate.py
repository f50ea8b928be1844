"""Evaluate stage: what a trained model predicts for the test rows of another dataset."""

from collections.abc import Mapping

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.evaluate import Evaluate
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.models.lora import restore
from w2s_sweep.models.ranks import this_process
from w2s_sweep.models.reward import LanguageScore
from w2s_sweep.models.throughput import Throughput
from w2s_sweep.predictions import FILE, HEAD, read_predictions, write_predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.throughput import speed
from w2s_sweep.stages import finetune, probe
from w2s_sweep.training.examples import Rows, load_rows, predictions_of, scores
from w2s_sweep.training.loop import predict
from w2s_sweep.training.stored import restore_trained, stored_weights, trained_stage


def reopen_probe(state: Mapping[str, np.ndarray], stored: Mapping[str, np.ndarray]) -> probe.AnyProbe:
    """The probe that a stage left as `state`, on other tables of features, scaled as it learnt them."""
    scaling = probe.Scaling(state["mean"], state["scale"])
    found = probe.make_probe(stored, scaling, len(state["weight"]), l2=0.0)
    restore(found.trainable(), {name: torch.from_numpy(state[name]) for name in found.trainable()}, "stored weights")
    return found


def probe_logits(context: Context[Evaluate], chosen: list[int]) -> np.ndarray:
    """float32 [chosen, classes]: of a probe as its stage left it."""
    state = load_arrays(stored_weights(context.input("trained"), HEAD))
    trained = reopen_probe(state, load_arrays(context.input("features") / "features.safetensors"))
    with probe.one_thread():
        return predict(trained, chosen, context.stop)


def finetuned_logits(context: Context[Evaluate], settings: Finetune, rows: Rows, chosen: list[int]) -> np.ndarray:
    """float32 [chosen, classes]: of a transformer as its stage left it."""
    trained = trained_stage(context, settings)
    with this_process().in_turn():
        learner = finetune.build(trained, rows.classes, rows.every_text, rows.others is not None)
    if isinstance(learner, finetune.PairLearner) and isinstance(learner.model, LanguageScore):
        finetune.refer(trained, learner, chosen)  # before the weights change
    restore_trained(context, learner.model)
    learner.mode(training=False)
    context.describe, read = trained.describe, Throughput()
    read.add(length for row in chosen for length in learner.lengths[row])
    with read.measure():
        logits = predict(learner, chosen, context.stop)
    context.facts |= learner.collator.summary()
    context.facts |= speed(
        trained, learner.model.backbone, read, "forward", settings.finetune.precision, last=settings.reads_last
    )
    return logits


def run(context: Context[Evaluate]) -> None:
    settings = context.settings
    rows = load_rows(context.input("data"), settings.split)
    classes = read_predictions(context.input("trained") / FILE).probs.shape[1]
    if rows.classes != classes:
        raise DataError(
            f"tests: {context.stage.hints.dataset.name} has {rows.classes} classes, the trained model {classes}."
        )
    chosen = rows.on("test")
    trained = settings.trained
    if isinstance(trained, Probe):
        logits = probe_logits(context, chosen)
    else:
        logits = finetuned_logits(context, trained, rows, chosen)
    found = predictions_of(rows, chosen, logits, {})
    write_predictions(context.out / FILE, found)
    context.finish({"examples": len(chosen)} | scores(found))
