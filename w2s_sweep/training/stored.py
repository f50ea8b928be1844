"""What a finished stage left for those that go on with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from w2s_sweep.errors import DataError
from w2s_sweep.kinds import Kind
from w2s_sweep.models.lora import restore, trainable
from w2s_sweep.plan.stage import Stage
from w2s_sweep.predictions import WEIGHTS
from w2s_sweep.runner.context import Context


def trained_stage(context: Context[Any], settings: Kind) -> Context[Any]:
    """The stage of the input `trained`, which had these settings, as one that runs again in the place of this one."""
    inputs = {name: key for name, key in context.stage.inputs.items() if name in ("data", "adapted")}
    return replace(context, stage=Stage(settings, inputs, context.stage.hints))


def restore_trained(context: Context[Any], model: nn.Module) -> None:
    """The weights of the input `trained` into its model; DataError where it kept none."""
    restore(trainable(model), load_file(stored_weights(context.input("trained"), WEIGHTS)), "stored weights")


def stored_weights(folder: Path, name: str) -> Path:
    """The file `name` of a finished stage; DataError saying how to get it where the stage kept none."""
    if not (folder / name).is_file():
        raise DataError(
            f"keep_weights: stage {folder.name} kept no weights ({name}) that could read further rows. Full "
            f"fine-tuning keeps them with keep_weights=true: set it, delete {folder} and run the sweep again."
        )
    return folder / name
