"""What a model of the hub is before its weights are fetched: its config.json, tokenizer and the heads of its files say
it, out of the hub's own cache where that has them."""

from pathlib import Path

from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import adapter, hub
from w2s_sweep.sources.model_facts import Facts, read_facts
from w2s_sweep.sources.model_folder import problem_of, problem_without_weights


def describe(source: HubSource) -> Facts | Path:
    """Size, shape and LoRA targets of a model, or the folder of the PEFT adapter that a repository holds in its place.

    The hub is asked for its small files once at most, an adapter is fetched with its weights. Raises SourceError where
    it is not to be had, or cannot be trained.
    """
    identity = hub.identify(source, "model")
    commit = str(identity["commit"])
    folder = hub.find(source, identity, "model") or hub.snapshot(source.repository, commit)
    whole = folder is not None and any(folder.glob(hub.WEIGHTS))
    why = problem_of(folder) if folder is not None and whole else None
    if (not whole or why) and not hub.no_network():
        return _of_the_hub(source, commit)
    if folder is not None and adapter.is_adapter(folder):
        return folder
    if folder is None or not whole:
        folder = hub.fetch(source, identity, "model")
        why = problem_of(folder)
    if why:
        raise SourceError(f"source.repository: {source.repository} as the cache has it: model {folder} {why}")
    return read_facts(folder)


def _of_the_hub(source: HubSource, commit: str) -> Facts | Path:
    folder = hub.fetch_small(source.repository, commit, adapter.WEIGHTS)
    if adapter.is_adapter(folder):
        return folder
    if why := problem_without_weights(folder):
        raise SourceError(f"source.repository: the model {source.repository} {why}")
    return read_facts(folder, hub.sizes(source.repository, commit))
