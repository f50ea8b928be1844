"""How a stage is run so that it fits its device: tokens of a forward pass, activation checkpointing. No result depends
on it beyond rounding."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from w2s_sweep.config.finetune import MOST_TOKENS, Precision
from w2s_sweep.errors import W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.memory import Memory, explain_too_large, fit
from w2s_sweep.kinds.shape import parse_shape
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.decode import room_beside
from w2s_sweep.models.device import (
    describe,
    forget_peak,
    memory_bytes,
    peak_memory,
    pick_device,
    set_deterministic,
    token_budget,
)
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.nf4 import is_nf4
from w2s_sweep.models.ranks import this_process
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch
from w2s_sweep.sources.weights import read_config

log = logging.getLogger(__name__)


def fit_device(context: Context[Kind], backbone: Backbone, precision: Precision) -> int:
    """Tokens of a forward pass; blocks of `backbone` are checkpointed from now on where memory asks for it.

    On a CPU, whose memory was asked for at submission, the tokens are what its caches like. W2SError for a stage that
    fits the device in no way.
    """
    return _fit_device(context, backbone, precision)[0]


def fit_writer(context: Context[Any], model: LanguageModel, precision: Precision) -> int:
    """As `fit_device`, of a model that writes, which is told how much memory its texts may take."""
    tokens, room = _fit_device(context, model.backbone, precision)
    model.room = (room_beside(model) if room is None else room) / 2**context.halved
    return tokens


def _fit_device(context: Context[Kind], backbone: Backbone, precision: Precision) -> tuple[int, float | None]:
    """(Tokens of a forward pass; bytes for texts that are written, None where none are planned)."""
    wanted, device = context.run.micro_batch_tokens, pick_device()
    forget_peak(device)
    set_deterministic(context.run.deterministic)
    context.describe = partial(peak_memory, device)
    context.facts |= describe(device, precision) | {
        "weights": "nf4" if is_nf4(backbone) else str(backbone.embedding.dtype).removeprefix("torch."),
        "GPUs": this_process().size if device.type == "cuda" else 0,
        "processes": this_process().size,
        "deterministic": context.run.deterministic,
    }
    there, less = memory_bytes(device), 2**context.halved
    if there is None:
        return max(1, token_budget(device, wanted) // less), None
    hints = context.stage.hints
    alone = context.settings.memory(hints, parse_shape(read_config(backbone.folder), hints.of_model))
    need = alone.on(this_process().size).students(context.beside.students)
    how = fit(need, there, wanted or MOST_TOKENS)
    if how is None:
        raise W2SError(explain_too_large(context.stage.label, need, there))
    if how.checkpointing:
        checkpoint_blocks(backbone.blocks)
    tokens = max(1, how.tokens // less)
    context.facts |= {"checkpointing": how.checkpointing, "tokens a pass": tokens, "planned GB": how.device / 1e9}
    log.info(
        "%d tokens a forward pass, checkpointing %s: about %.1f of %.1f GB",
        tokens,
        "on" if how.checkpointing else "off",
        how.device / 1e9,
        there / 1e9,
    )
    return tokens, how.room


def students_that_fit(stages: Sequence[Stage[Kind]]) -> int:
    """How many of the stages, the first ones, have room on the device at the same time; on a CPU all of them."""
    there, part = memory_bytes(pick_device()), stages[0].settings.model_part()
    if there is None or part is None:
        return len(stages)
    of_model = stages[0].hints.of_model
    shape = parse_shape(read_config(fetch(of_model.source, part.weights, "model")), of_model)
    needs = [stage.settings.memory(stage.hints, shape) for stage in stages]
    return _most(needs, there)


def _most(needs: Sequence[Memory], device: float) -> int:
    """How many of these needs, whichever of them the passes are of, fit `device` bytes; at least one."""
    for count in range(len(needs), 1, -1):
        own = max(need.own for need in needs[:count])
        if all(fit(replace(need, own=own).students(count), device) is not None for need in needs[:count]):
            return count
    return 1
