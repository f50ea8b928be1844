"""Whether texts, with what is written behind them, fit the models that will read them: told before any job."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from w2s_sweep.errors import ConfigError, too_long
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Json, OfModel
from w2s_sweep.kinds.critique import Critique
from w2s_sweep.kinds.forward import Annotate
from w2s_sweep.kinds.training import Generate
from w2s_sweep.launch.opened import Stages, model_folder
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.sources.weights import context_length, longest, mean_length, positions
from w2s_sweep.store import Store


@dataclass(frozen=True)
class Reading:
    """Texts that go through a model, each with at most `written` tokens behind it that a model will write."""

    texts: list[str]
    written: int = 0

    def longest(self, folder: Path, table: int) -> int:
        """Tokens of the longest text and what is written behind it; 0 where none can have more than `table`."""
        found = longest(folder, self.texts, table - self.written)
        return found + self.written if found else 0


def require_positions(store: Store, stages: Stages, there: Mapping[str, Path]) -> None:
    """ConfigError for texts, or prompts of many texts, that are too long for a model that will read them."""
    is_done = cache(store.is_done)  # many stages read the same examples
    problems: dict[str, None] = {}
    measured: dict[str, int] = {}  # seeds and losses read the same texts
    critics = {stage.key: stage for stage in stages if isinstance(stage.settings, Critique)}
    for stage in stages:
        part, critic = stage.settings.model_part(), critics.get(stage.inputs.get("data", ""))
        # Examples that a job makes of others are not there yet; those that it makes critiques of are.
        if part is None or not is_done((critic or stage).inputs["data"]):
            continue
        folder, limit = model_folder(stage, there), part.max_tokens
        table, name = positions(folder), stage.hints.of_model.name
        if table is not None and limit > table:
            inputs = [stage.inputs["data"], stage.inputs.get("mixed")]
            what = canonical([str(folder), _behind(part), *inputs])
            if what not in measured:
                measured[what] = max(one.longest(folder, table) for one in _readings(store, stage, critic))
            tokens = min(limit, measured[what])
            if tokens > table:
                problems[too_long(tokens, limit, table, name)] = None
        context = table or context_length(folder)
        if isinstance(stage.settings, Annotate) and context is not None:
            problems |= dict.fromkeys(_prompt_problems(store, stage, stage.settings, folder, context))
    if problems:
        raise ConfigError(list(problems))


def _behind(part: OfModel) -> list[Json]:
    """What decides about the tokens behind each text that a stage reads, beside its data."""
    match part:
        case Critique():
            return [part.question, part.max_new_tokens]
        case Generate():
            return ["target", part.max_new_tokens]
        case _:
            return []


def _readings(store: Store, stage: Stage[Kind], critic: Stage[Kind] | None) -> list[Reading]:
    """What a stage reads; `critic`: the one, not run yet, whose critiques stand behind its texts."""
    from w2s_sweep.training.examples import load_targets, load_texts

    part = stage.settings.model_part()
    texts = load_texts(store.path((critic or stage).inputs["data"]))
    asked = part if critic is None else critic.settings
    if isinstance(asked, Critique):
        return [Reading([text + asked.question for text in texts], asked.max_new_tokens)]
    if isinstance(part, Generate):
        targets = load_targets(store.path(stage.inputs["data"]))
        learned = Reading([text + target for text, target in zip(texts, targets, strict=True)])
        return [learned, Reading(texts, part.max_new_tokens or 0)]
    return [Reading(texts + (load_texts(store.path(stage.inputs["mixed"])) if "mixed" in stage.inputs else []))]


def _prompt_problems(store: Store, stage: Stage[Kind], settings: Annotate, folder: Path, context: int) -> list[str]:
    """What is wrong with a prompt that shows all rows, for a model with room for `context` tokens."""
    from w2s_sweep.training.examples import load_rows

    rows = load_rows(store.path(stage.inputs["data"]), settings.split)
    shown = min(settings.rows, len(rows.on(settings.on)))
    texts = shown if rows.others is None else 2 * shown
    tokens = texts * min(float(settings.max_tokens), mean_length(folder, rows.every_text))
    if tokens <= context:
        return []
    fitting = int(0.8 * context * shown / tokens)
    return [
        f"method.rows: {shown} rows in one prompt have about {tokens:.0f} tokens, and {stage.hints.of_model.name} has "
        f"room for {context}. Set method.rows={fitting} or less, or lower dataset.max_tokens."
    ]
