"""What stages will open, and where it is once it is fetched."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Opened
from w2s_sweep.plan.stage import Stage, canonical

Stages = Sequence[Stage[Kind]]


def opened_by(stages: Stages) -> dict[str, Opened]:
    """The models and datasets that stages will open, each once."""
    return {_name_of(one): one for stage in stages for one in stage.settings.opens(stage.hints)}


def model_folder(stage: Stage[Kind], there: Mapping[str, Path]) -> Path:
    """The folder of a stage's model; `there`: name in `opened_by` -> where it is."""
    return next(there[_name_of(one)] for one in stage.settings.opens(stage.hints) if one.kind == "model")


def _name_of(opened: Opened) -> str:
    return canonical(opened.identity) + opened.kind
