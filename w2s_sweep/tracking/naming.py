"""What a trained stage is called in a tracker: the same while it trains and when it is mirrored later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_sweep.config.plain import flatten, plain
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.tracking.base import TrainedStage


def describe(stage: Stage[Kind], folder: Path) -> TrainedStage:
    """A stage that is about to train and will write into `folder`."""
    model, dataset = plain(stage.hints.of_model), plain(stage.hints.dataset)
    return TrainedStage(
        key=stage.key,
        label=stage.label,
        role=stage.part,
        folder=folder,
        config=run_config(stage.key, stage.kind, stage.settings.hashed(), model, dataset),
        tags=tags_of(dataset),
    )


def tags_of(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(dataset["name"]),) if "name" in dataset else ()


def run_config(
    key: str, kind: str, settings: Mapping[str, Any], model: Mapping[str, Any], dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """The flat configuration of a stage's run; nested names are joined with `/`."""
    flat = join_names(settings)
    names = {"model/name": model.get("name"), "model/params": model.get("params"), "dataset/name": dataset.get("name")}
    return flat | {name: value for name, value in names.items() if value is not None} | {"key": key, "kind": kind}


def join_names(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names joined with `/`."""
    return {name.replace(".", "/"): value for name, value in flatten(nested).items()}
