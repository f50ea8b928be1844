"""What happens where a sweep is submitted, before any job: sources are fetched and examples are made and dealt out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.errors import ConfigError, W2SError, too_long, unknown
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.inputs import SourceKind
from w2s_sweep.plan.stage import Json, Stage, canonical
from w2s_sweep.sources import fetch
from w2s_sweep.sources.weights import context_length, longest, matrices, mean_length, positions
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


def prepare(console: Console, store: Store, plan: Plan) -> None:
    """Fetch what jobs will open and make the examples: jobs need no network, bad data is refused before training."""
    from w2s_sweep.stages.context import Settings
    from w2s_sweep.stages.pack import Pack, run_pack  # imports pyarrow, which planning does not need
    from w2s_sweep.tracking import NullTracker

    to_run = [plan.graph.stages[key] for key in plan.keys("to run", "in flight")]
    there: dict[str, Path] = {}
    for name, one in wanted_by(to_run).items():
        with console.status(f"fetching {one.label}"):
            there[name] = fetch(one.source, one.identity, one.kind)
    _require_targets(to_run, there)
    data = [stage for stage in to_run if stage.kind == "data"]
    outcomes = run_pack(Pack(store, data, Settings(), NullTracker()), stop=lambda: False)
    for stage in data:
        if outcomes[stage.key] != "done":
            failure = read_json(store.work(stage.key) / "failure.json") or {}
            raise W2SError(f"{stage.label}: {failure.get('text', 'failed')}")
        made = read_json(store.path(stage.key) / "summary.json") or {}
        each = [f"{made[name]:,} of {name}" for name in sorted(made) if name.startswith("label ")]
        note = f", {', '.join(each)} after balancing" if len(each) > 1 else ""
        console.print(f"{stage.label}: {made['examples']:,} examples{note}", highlight=False)
    _require_positions(store, to_run, there)
    _try_splits(store, to_run)


def _try_splits(store: Store, stages: Sequence[Stage]) -> None:
    """Deal the examples out once for each split that is asked for, so that one that cannot be dealt is refused here."""
    from w2s_sweep.stages.rows import joined, load_rows, mixed_in, rows_of_lesson

    tried: set[str] = set()
    for stage in stages:
        if "split" not in stage.settings:
            continue
        split, wanted = stage.settings["split"], stage.settings.get("mixed")
        name = canonical([stage.inputs["data"], split, wanted and [stage.inputs["mixed"], wanted]])
        if name not in tried:
            rows = load_rows(store.path(stage.inputs["data"]), split)
            if wanted:
                more = load_rows(store.path(stage.inputs["mixed"]), wanted["split"])
                joined(rows, more)
                mixed_in(more, wanted, rows, len(rows_of_lesson(rows, stage.settings)))
        tried.add(name)


@dataclass(frozen=True)
class Wanted:
    """Something that stages will open."""

    label: str
    source: Source
    identity: Mapping[str, Json]
    kind: SourceKind


def _require_positions(store: Store, stages: Sequence[Stage], there: Mapping[str, Path]) -> None:
    """ConfigError for texts, or prompts full of them, that are longer than a model that will read them has room for."""
    from w2s_sweep.stages.rows import load_rows

    problems: dict[str, None] = {}
    measured: dict[str, int] = {}  # seeds and losses read the same texts
    for stage in stages:
        if "max_tokens" not in stage.settings:
            continue
        folder, limit = there[_name(stage, "model")], stage.settings["max_tokens"]
        name, table = str(stage.run["model"]["name"]), positions(folder)
        if table is not None and limit > table:
            what = canonical([str(folder), stage.kind == "generate", stage.inputs["data"], stage.inputs.get("mixed")])
            if what not in measured:
                measured[what] = longest(folder, _read_by(store, stage), table)
            tokens = min(limit, measured[what])
            if tokens > table:
                problems[too_long(tokens, limit, table, name)] = None
        context = table or context_length(folder)
        if stage.kind == "annotate" and context is not None:
            rows = load_rows(store.path(stage.inputs["data"]), stage.settings["split"])
            shown = min(stage.settings["rows"], len(rows.on(stage.settings["on"])))
            texts = shown if rows.others is None else 2 * shown
            tokens = texts * min(float(limit), mean_length(folder, _read_by(store, stage)))
            if tokens > context:
                fitting = int(0.8 * context * shown / tokens)
                problems[
                    f"method.rows: {shown} rows in one prompt have about {tokens:.0f} tokens, and {name} has room for "
                    f"{context}. Set method.rows={fitting} or less, or lower dataset.max_tokens."
                ] = None
    if problems:
        raise ConfigError(list(problems))


def _read_by(store: Store, stage: Stage) -> list[str]:
    """The texts that a stage reads; a generation stage reads each with what is to be generated after it."""
    from w2s_sweep.stages.rows import load_targets, load_texts

    data = store.path(stage.inputs["data"])
    if stage.kind == "generate":
        return [text + target for text, target in zip(load_texts(data), load_targets(data), strict=True)]
    mixed = load_texts(store.path(stage.inputs["mixed"])) if "mixed" in stage.inputs else []
    return load_texts(data) + mixed


SETTINGS: Mapping[SourceKind, str] = {"model": "model", "dataset": "source"}
"""The setting of a stage that says what it opens."""


def wanted_by(stages: Sequence[Stage]) -> dict[str, Wanted]:
    """The models and datasets that stages will open, each once."""
    found: dict[str, Wanted] = {}
    for stage in stages:
        for kind, setting in SETTINGS.items():
            if setting in stage.settings:
                hint = stage.run[kind]
                source = from_plain(Source, hint["source"])
                found[_name(stage, kind)] = Wanted(f"{kind} {hint['name']}", source, _identity(stage, kind), kind)
    return found


def _identity(stage: Stage, kind: SourceKind) -> dict[str, Json]:
    return {k: v for k, v in stage.settings[SETTINGS[kind]].items() if k != "keep_layers"}


def _name(stage: Stage, kind: SourceKind) -> str:
    return canonical(_identity(stage, kind)) + kind


def _require_targets(stages: Sequence[Stage], there: Mapping[str, Path]) -> None:
    """ConfigError for LoRA targets that no weight of their model is named after."""
    problems: dict[str, None] = {}
    for stage in stages:
        how = stage.settings.get("finetune") or stage.settings.get("adapt") or {}
        targets = how.get("targets") or ()
        modules = matrices(there[_name(stage, "model")]) if targets else frozenset[str]()
        for target in targets if modules else ():
            if not any(f".{module}".endswith(f".{target}") for module in modules):
                last = {module.rsplit(".", 1)[-1] for module in modules}
                problems[unknown(f"lora_targets of {stage.run['model']['name']}", target, last)] = None
    if problems:
        raise ConfigError(list(problems))
