"""Prompt stage: what a language model answers about each text, with or without labelled examples in its prompt.

Without examples the answers depend on no seed and are given for all rows, once per model and dataset. The raw answers
are kept, so that every calibration of them is a stage that needs no model.
"""

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import save_file

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.forward import Asking, Prompt
from w2s_sweep.models.classifier import label_word_rows
from w2s_sweep.models.prompt import Asked, Template, answer_logits, require_prompt
from w2s_sweep.models.ranks import this_process
from w2s_sweep.predictions import Array
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.budget import fit_device
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.forward_passes import KeptPasses
from w2s_sweep.runner.throughput import speed
from w2s_sweep.store.files import write_text
from w2s_sweep.training.examples import Rows, load_asked, load_rows, soft_labels

ANSWERS = "answers.safetensors"
"""`rows` int64 [n]: positions in the data; `logits` float32 [n, classes]; `blank` float32 [m, classes]: the answers
about texts without content."""

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Zhao et al. 2021 (arXiv 2102.09690), section 5."""


def demonstrations(rows: Rows, labels: Array, on: str, shots: int, seed: int) -> list[int]:
    """Positions of the `shots` examples shown, drawn from the split `on`, each class of `labels` equally often.

    `labels` [rows, classes] are soft (NaN: has none) and count by their most likely class. Where `shots` is no multiple
    of the classes, those of the first rows drawn get one more. Both draw and order are hashes of ids and seed.
    DataError if a class has too few rows.
    """
    classes = labels.shape[1]
    here = np.array([row for row in rows.on(on) if not np.isnan(labels[row]).any()], dtype=np.int64)
    hashes = hashes_of(rows.ids[here])
    drawn = here[np.argsort(ranks(hashes, seed, "demonstrations"), kind="stable")]
    said = labels[drawn].argmax(1) if len(drawn) else drawn
    queues = [drawn[said == c].tolist() for c in range(classes)]
    first = sorted(range(classes), key=lambda c: said.tolist().index(c) if queues[c] else len(drawn))
    wanted = {c: shots // classes + (place < shots % classes) for place, c in enumerate(first)}
    for c, count in wanted.items():
        if len(queues[c]) < count:
            raise DataError(
                f"method.shots: {shots} demonstrations need {count} rows of {on} labelled {c}, there are "
                f"{len(queues[c])}. Lower method.shots."
            )
    chosen = [row for c in range(classes) for row in queues[c][: wanted[c]]]
    order = ranks(hashes_of(rows.ids[np.array(chosen, dtype=np.int64)]), seed, "order of demonstrations")
    return [chosen[i] for i in np.argsort(order, kind="stable")]


def template_of(settings: Asking) -> Template:
    """The words around the texts of a stage that prompts."""
    return Template(settings.instruction, settings.question, settings.words, settings.max_tokens, settings.pair)


def _choose_shown(context: Context[Prompt]) -> tuple[Sequence[Asked], Sequence[int], list[tuple[Asked, int]]]:
    """The texts or pairs of all rows, the positions of those to classify, and the demonstrations."""
    settings, data = context.settings, context.input("data")
    if settings.on is None or settings.split is None or settings.seed is None:
        texts = load_asked(data)
        return texts, range(len(texts)), []
    rows = load_rows(data, settings.split)
    labels = soft_labels(rows, context.optional("labels"))
    shown = demonstrations(rows, labels, settings.on, settings.shots, settings.seed)
    about = rows.asked
    return about, rows.on(*settings.splits or ()), [(about[row], int(labels[row].argmax())) for row in shown]


def run(context: Context[Prompt]) -> None:
    settings = context.settings
    texts, asked, shown = _choose_shown(context)
    with this_process().in_turn():
        backbone = process_cache.frozen_backbone(context, settings.precision)
    template = template_of(settings)
    prefix = template.prefix(backbone, shown)
    free: list[Asked] = [(text, text) if template.pair else text for text in CONTENT_FREE]
    prompts = [template.encode(backbone, about) for about in [*free, *(texts[row] for row in asked)]]
    require_prompt(backbone, prefix, prompts, settings.shots)
    words = label_word_rows(
        backbone, template.words, len(template.words), field="dataset.prompt.words or label_words", remedy=""
    )
    collator = backbone.collator()
    logits = answer_logits(
        backbone,
        prefix,
        prompts,
        words,
        precision=settings.precision,
        token_budget=fit_device(context, backbone, settings.precision),
        passes=KeptPasses(context),
        collator=collator,
    )
    collator.add_ranks(this_process())
    blank, logits = logits[: len(CONTENT_FREE)], logits[len(CONTENT_FREE) :]
    save_file({"rows": np.array(asked, dtype=np.int64), "logits": logits, "blank": blank}, context.out / ANSWERS)
    first = prefix + prompts[len(CONTENT_FREE)]
    write_text(context.out / "prompt.txt", str(backbone.tokenizer.decode(first)))
    counts = {"examples": len(asked), "prefix_tokens": len(prefix), "tokens": sum(map(len, prompts))}
    fast = speed(context, backbone, collator.read, "forward", settings.precision, last=not collator.padded)
    context.finish(counts | collator.summary() | fast)
