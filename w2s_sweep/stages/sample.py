"""Sample stage: several answers of a trained language model to each text, drawn at a temperature, and the answer that
most of them give (self-consistency, Wang et al. 2022, arXiv 2203.11171). All of them go to samples.parquet."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.kinds.base import Json
from w2s_sweep.kinds.sample import Sample
from w2s_sweep.models.decode import sample
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.ranks import this_process
from w2s_sweep.predictions import SAMPLES, SAMPLES_SCHEMA
from w2s_sweep.runner.budget import fit_writer
from w2s_sweep.runner.context import Context
from w2s_sweep.stages import generate
from w2s_sweep.training.answers import Prompts, Reading, Written, count_cut, read_prompts, reading_of
from w2s_sweep.training.examples import load_rows
from w2s_sweep.training.kept import answer_in_chunks

CHUNK = 32
"""Rows that are drawn for together, see `answer_in_chunks`."""


def draw(
    context: Context[Sample], model: LanguageModel, prompts: Prompts, names: Mapping[int, str], token_budget: int
) -> dict[int, list[Written]]:
    """Row -> its samples, for the rows of `names`. A sample depends on its row alone."""
    settings = context.settings

    def answer(part: Sequence[int], on_progress: Callable[[int], None]) -> list[list[Written] | None]:
        drawn = sample(
            model,
            [prompts.rows[row] for row in part],
            [names[row] for row in part],
            count=settings.count,
            temperature=settings.temperature,
            seed=settings.seed,
            most=prompts.most,
            end=prompts.end,
            precision=settings.trained.finetune.precision,
            token_budget=token_budget,
            on_progress=on_progress,
            stop=context.stop,
        )
        return [
            None if tokens is None else [generate.written_after(model, prompts, row, one) for one in tokens]
            for row, tokens in zip(part, drawn, strict=True)
        ]

    found = answer_in_chunks(context, names, lambda row: len(prompts.rows[row]), answer, CHUNK)
    return {row: [Written(*one) for one in texts] for row, texts in found.items()}


def vote(read: Reading, texts: Sequence[str]) -> tuple[str, float]:
    """The first text that gives the answer of most of them, and the share of them that give it. Texts without an answer
    count for none; of answers that are given as often, the one given first is taken."""
    answers = [read(text) for text in texts]
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return texts[0], 0.0
    answer, count = counts.most_common(1)[0]  # equal counts: in the order in which they were met
    return texts[answers.index(answer)], count / len(texts)


def run(context: Context[Sample]) -> None:
    settings, stage = context.settings, context.stage
    rows = load_rows(context.input("data"), settings.split)
    chosen = rows.on(*settings.splits)
    precision = settings.trained.finetune.precision
    with this_process().in_turn():
        trained, model = generate.reopen(context)
        prompts = read_prompts(trained, model.backbone, rows, {})
        learner = generate.learner_of(model, prompts, precision, fit_writer(context, model, precision))
    names = {row: str(rows.ids[row]) for row in chosen}
    drawn = draw(context, learner.model.eval(), prompts, names, learner.token_budget)
    read = reading_of(stage.hints.dataset.task)
    table = [
        {"id": str(rows.ids[row]), "sample": number, "text": text, "answer": read(text), "ended": ended}
        for row in chosen
        for number, (text, ended) in enumerate(drawn[row])
    ]
    pq.write_table(pa.Table.from_pylist(table, schema=SAMPLES_SCHEMA), context.out / SAMPLES)
    voted = {row: vote(read, [text for text, _ in drawn[row]]) for row in chosen}
    agreement = sum(share for _, share in voted.values()) / len(voted)
    cut = sum(map(count_cut, drawn.values()))
    summary: dict[str, Json] = {"samples": settings.count, "agreement": agreement, "cut": cut}
    summary |= learner.model.describe_writing()
    generate.publish_texts(context, rows, {row: text for row, (text, _) in voted.items()}, {}, summary)
