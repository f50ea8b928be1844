"""What happens where a sweep is submitted, before any job: sources are fetched and examples are made and divided."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from w2s_sweep.config.finetune import takes_all_linear
from w2s_sweep.errors import ConfigError, W2SError, unknown
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Divided, Json, OfModel
from w2s_sweep.kinds.data import Data
from w2s_sweep.kinds.forward import FeaturesFile, Frozen
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.kinds.training import Supervised
from w2s_sweep.launch.opened import Stages, model_folder, opened_by
from w2s_sweep.launch.positions import require_positions
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.sources import fetch
from w2s_sweep.sources.weights import lists_blocks, matrices
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

if TYPE_CHECKING:
    from w2s_sweep.training.examples import Rows


def prepare(console: Console, store: Store, plan: Plan) -> None:
    """Fetch what jobs will open and make the examples: jobs need no network, bad data is refused before training."""
    to_run = [plan.graph.stages[key] for key in plan.keys("to run", "in flight")]
    if not to_run:
        return
    from w2s_sweep.runner.context import RunSettings
    from w2s_sweep.runner.pack import Pack, run_pack  # imports pyarrow, which planning does not need

    there: dict[str, Path] = {}
    for name, one in opened_by(to_run).items():
        with console.status(f"fetching {one.kind} {one.name}"):
            there[name] = fetch(one.source, one.identity, one.kind)
    require_targets(to_run, there)
    require_blocks(to_run, there)
    for kind in (Data.kind, LabelsFile.kind, FeaturesFile.kind):
        made = [stage for stage in to_run if stage.kind == kind]
        outcomes = run_pack(Pack(store, made, RunSettings()), stop=lambda: False)
        for stage in made:
            if outcomes[stage.key] != "done":
                failure = read_json(store.work(stage.key) / "failure.json") or {}
                raise W2SError(f"{stage.label}: {failure.get('text', 'failed')}")
            summary = read_json(store.path(stage.key) / "summary.json") or {}
            balanced = isinstance(stage.settings, Data) and stage.settings.balance == "classes"
            counts = TELL[kind](summary) if kind != Data.kind else tell_examples(summary, balanced=balanced)
            console.print(f"{stage.label}: {counts}", highlight=False)
    # Examples that a job makes of others are not there yet; their rows, and so their splits, are those of the others.
    is_done = cache(store.is_done)  # many stages read the same ones
    readable = [stage for stage in to_run if "data" not in stage.inputs or is_done(stage.inputs["data"])]
    require_positions(store, to_run, there)
    _try_splits(store, readable)


def tell_examples(made: Mapping[str, Json], *, balanced: bool = True) -> str:
    """What a data stage made of its source."""
    each = [f"{made[name]:,} of {name}" for name in sorted(made) if name.startswith("label ")]
    note = f", {', '.join(each)}{' after balancing' if balanced else ''}" if len(each) > 1 else ""
    unlabelled = f", {made['unlabelled']:,} without a label, all in half B" if "unlabelled" in made else ""
    easy = f"; rows up to {made['easy up to']:g} are easy, harder ones are for test" if "easy up to" in made else ""
    return f"{made['examples']:,} examples{note}{unlabelled}{easy}{_tell_left_out(made)}"


def tell_labels(made: Mapping[str, Json]) -> str:
    """What was found in a file of labels, by reason."""
    splits = [name.partition("/")[2] for name in made if name.startswith("labelled/")]
    found = ", ".join(f"{made[f'labelled/{split}']:,} of {made[f'of/{split}']:,} {split}" for split in splits)
    note = f". {made['note']}" if made.get("note") else ""
    return f"{made['rows']:,} rows, labels for {found}{_tell_left_out(made)}{note}"


def tell_vectors(made: Mapping[str, Json]) -> str:
    """What was found in a file of vectors."""
    found = f"{made['examples']:,} examples found by {made['found by']}"
    return f"{made['rows']:,} vectors of {made['width']:,} numbers, {found}"


TELL = {LabelsFile.kind: tell_labels, FeaturesFile.kind: tell_vectors}
"""Kind -> what is told of a file once it is read."""


def _tell_left_out(made: Mapping[str, Json]) -> str:
    odd = [
        f"{count:,} {name.removeprefix('left out/')}" for name, count in made.items() if name.startswith("left out/")
    ]
    return f"; left out: {', '.join(odd)}" if odd else ""


def _try_splits(store: Store, stages: Stages) -> None:
    """Split the rows once in each way that stages need, so that an impossible split is refused here."""
    from w2s_sweep.training.examples import append_rows, draw_mixed, load_rows, rows_of_portion

    tried: set[str] = set()
    for stage in stages:
        settings = stage.settings
        if not isinstance(settings, Divided) or settings.split is None:
            continue
        supervised = settings if isinstance(settings, Supervised) and settings.mixed else None
        key = stage.inputs["mixed"] if supervised else None
        name = canonical(
            [
                stage.inputs["data"],
                settings.hashed_settings()["split"],
                key,
                supervised and supervised.hashed_settings(),
            ]
        )
        if name not in tried:
            rows = load_rows(store.path(stage.inputs["data"]), settings.split)
            _require_truth(rows, stage, stages)
            if supervised and supervised.mixed and key:
                more = load_rows(store.path(key), supervised.mixed.split)
                append_rows(rows, more)
                draw_mixed(more, supervised.mixed, rows, len(rows_of_portion(rows, supervised)))
        tried.add(name)


def _require_truth(rows: "Rows", stage: Stage[Kind], stages: Stages) -> None:
    """ConfigError where a stage learns from the truth of a half without any."""
    for other in stages:
        settings = other.settings
        if not isinstance(settings, Supervised) or other.inputs["data"] != stage.inputs["data"]:
            continue
        if "labels" not in other.inputs and not rows.has_truth(settings.on):
            without = "Set ceiling.skip=true (there is no PGR without a ceiling)"
            remedy = without if settings.on == "half_b" else "Set supervisor.labels=FILE"
            raise ConfigError([f"{other.label}: no row of {settings.on} has a label. {remedy}, or add some."])


def require_blocks(stages: Stages, there: Mapping[str, Path]) -> None:
    """ConfigError for features between the blocks of a model that has no list of them."""
    models = {
        stage.hints.of_model.name
        for stage in stages
        if isinstance(stage.settings, Frozen) and not lists_blocks(model_folder(stage, there))
    }
    if models:
        raise ConfigError(
            [
                f"finetune: {name} passes one block several times, so there are no states between blocks for a probe. "
                "Set finetune=full or lora, or choose another model."
                for name in sorted(models)
            ]
        )


def require_targets(stages: Stages, there: Mapping[str, Path]) -> None:
    """ConfigError for LoRA targets that no weight of their model is named after."""
    problems: dict[str, None] = {}
    for stage in stages:
        if not isinstance(stage.settings, OfModel) or not (targets := stage.settings.lora_targets()):
            continue
        modules = matrices(model_folder(stage, there))
        for target in targets if modules and not takes_all_linear(targets) else ():
            named = [module for module in modules if f".{module}".endswith(f".{target}")]
            if any(".experts." in module for module in named):
                problems[
                    f"lora_targets of {stage.hints.of_model.name}: {target} is in its experts, which get no adapters "
                    "here. Name modules of attention."
                ] = None
            if not named:
                last = {module.rsplit(".", 1)[-1] for module in modules}
                problems[unknown(f"lora_targets of {stage.hints.of_model.name}", target, last)] = None
    if problems:
        raise ConfigError(list(problems))
