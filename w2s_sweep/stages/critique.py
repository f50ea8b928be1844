"""Critique stage: each text of a task with what a model that was not trained for it says of it, so that a weak judge
reads both (critiques as help for judges: Saunders et al. 2022, arXiv 2206.05802)."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.kinds.critique import Critique
from w2s_sweep.models.decode import greedy, text_after
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_writer
from w2s_sweep.runner.context import Context
from w2s_sweep.training.answers import end_of
from w2s_sweep.training.examples import EXAMPLES
from w2s_sweep.training.kept import answer_in_chunks

CHUNK = 128
"""Texts that are answered together, see `answer_in_chunks`."""


def criticise(context: Context[Critique], model: LanguageModel, texts: Sequence[str], token_budget: int) -> list[str]:
    """Each text with the question behind it, and the likeliest answer behind that."""
    settings, backbone = context.settings, model.backbone
    asked = [text + settings.question for text in texts]
    prompts = backbone.tokens(asked, settings.max_tokens, room=settings.max_new_tokens)
    backbone.require_positions(max(map(len, prompts)) + settings.max_new_tokens, settings.max_tokens)

    def answer(part: Sequence[int], on_progress: Callable[[int], None]) -> list[str | None]:
        new = greedy(
            model.eval(),
            [prompts[row] for row in part],
            most=settings.max_new_tokens,
            end=end_of(backbone.tokenizer),
            precision=settings.precision,
            token_budget=token_budget,
            on_progress=on_progress,
            stop=context.stop,
        )
        return [
            None if one is None else text_after(backbone.tokenizer, prompts[row], one)
            for row, one in zip(part, new, strict=True)
        ]

    names = {row: str(row) for row in range(len(texts))}
    answers = answer_in_chunks(context, names, lambda row: len(prompts[row]), answer, CHUNK)
    return [text + answers[row] for row, text in enumerate(asked)]


def run(context: Context[Critique]) -> None:
    settings = context.settings
    table = pq.read_table(context.input("data") / EXAMPLES)
    columns = [name for name in ("text", "text_other") if name in table.column_names]
    with this_process().in_turn():
        model = LanguageModel(process_cache.frozen_backbone(context, settings.precision), frozen=True)
    budget = fit_writer(context, model, settings.precision)
    texts = [text for name in columns for text in table[name].to_pylist()]
    written = criticise(context, model, texts, budget)
    for number, name in enumerate(columns):
        part = written[number * table.num_rows : (number + 1) * table.num_rows]
        table = table.set_column(table.column_names.index(name), name, pa.array(part, pa.string()))
    pq.write_table(table, context.out / EXAMPLES, compression="zstd")
    context.finish({"examples": table.num_rows} | model.describe_writing())
