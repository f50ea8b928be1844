"""Prefer stage: a student that has learnt its supervisor's solutions is trained on to prefer the answer that its own
samples agree on to samples of the supervisor with another answer (after Yang et al. 2024, arXiv 2407.13647, stage
II)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.prefer import Prefer
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.decode import require_writing
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner.budget import fit_writer
from w2s_sweep.runner.context import Context
from w2s_sweep.stages import generate
from w2s_sweep.stages.finetune import refer
from w2s_sweep.training.answers import Drawn, read_prompts, read_samples
from w2s_sweep.training.examples import Rows, load_rows
from w2s_sweep.training.loop import train
from w2s_sweep.training.preference import PreferenceLearner, pair_of
from w2s_sweep.training.supervision import hooks_of, recipe_of

PAIRS = "pairs.parquet"
"""What was preferred to what: id, preferred, rejected."""


def choose_pairs(rows: Rows, settings: Prefer, own: Path, others: Path) -> dict[int, tuple[Drawn, Drawn]]:
    """Row -> (preferred answer, rejected one), for the rows of `on` that have such; DataError where none has."""
    mine, theirs = read_samples(own), read_samples(others)
    names = {row: str(rows.ids[row]) for row in rows.on(settings.on)}
    made = {row: pair_of(mine.get(name, ()), theirs.get(name, ()), settings.least) for row, name in names.items()}
    found = {row: pair for row, pair in made.items() if pair is not None}
    if not found:
        raise DataError(
            f"method.least: no row of {settings.on} has an answer that {settings.least:g} of the student's samples "
            "give and a sample that answers otherwise. Lower it, draw more samples, or set method.preference=false."
        )
    return found


def end_where_ended(tokens: Sequence[int], sample: Drawn) -> Sequence[int]:
    """The tokens of an answer and the end, the end only where the sample had one: what was cut must not be rejected for
    an end that its model never wrote."""
    return tokens if sample.ended else tokens[:-1]


def run(context: Context[Any]) -> None:
    settings: Prefer = context.settings
    rows, recipe = load_rows(context.input("data"), settings.split), settings.recipe
    pairs = choose_pairs(rows, settings, context.input("own"), context.input("labels"))
    answers = {row: good.text for row, (good, _) in pairs.items()}
    with this_process().in_turn():
        trained, model = generate.reopen(context)
        prompts = read_prompts(trained, model.backbone, rows, answers)
        rejected = prompts.encode(model.backbone.tokenizer, {row: one.text for row, (_, one) in pairs.items()})
        tokens = {
            row: (
                [*prompts.rows[row], *end_where_ended(rejected[row], pair[1])],
                [*prompts.rows[row], *prompts.answers[row]],
            )
            for row, pair in pairs.items()
        }
        budget = fit_writer(context, model, recipe.precision)
        starts = [len(prompt) for prompt in prompts.rows]
        learner = PreferenceLearner(model, tokens, starts, settings.beta, recipe.precision, budget)
    chosen = sorted(pairs)
    require_writing(model, recipe.precision)
    refer(context, learner, chosen)
    learner.mode(training=True)
    labels = torch.tensor([[0.0, 1.0]], device=learner.device).expand(len(rows.ids), 2)
    train(learner, chosen, labels, CrossEntropy(), recipe_of(recipe, settings.seed), hooks_of(context))
    table = [
        {"id": str(rows.ids[row]), "preferred": good.text, "rejected": bad.text}
        for row, (good, bad) in sorted(pairs.items())
    ]
    pq.write_table(pa.Table.from_pylist(table), context.out / PAIRS)
    counts = {"pairs": len(pairs), "of": len(rows.on(settings.on))}
    generate.publish_trained(context, learner, prompts, rows, answers, recipe, counts)
