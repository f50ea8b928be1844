"""What a model of the hub is before its weights are fetched: its config.json, tokenizer and the heads of its files say
it, out of the hub's own cache where that has them."""

from pathlib import Path

from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import adapter, hub
from w2s_sweep.sources.model_facts import Facts, read_facts
from w2s_sweep.sources.model_folder import problem_of, problem_without_weights


def describe(source: HubSource) -> Facts:
    """Size, shape and LoRA targets of a model; SourceError where it is not to be had, or cannot be trained."""
    identity = hub.identify(source, "model")
    commit = str(identity["commit"])
    folder = hub.find(source, identity, "model") or hub.snapshot(source.repository, commit)
    whole = folder is not None and any(folder.glob(hub.WEIGHTS))
    why = problem_of(folder) if folder is not None and whole else None
    if (not whole or why) and not hub.no_network():
        return _of_the_hub(source, commit)
    if folder is None or not whole:
        folder = hub.fetch(source, identity, "model")
        why = problem_of(folder)
    if why:
        raise SourceError(f"source.repository: {source.repository} as the cache has it: model {folder} {why}")
    return read_facts(folder)


def find_adapter(source: HubSource) -> Path | None:
    """The folder of the PEFT adapter that a repository holds, fetched where it is not here; None where it holds a
    model, or what `describe` refuses."""
    commit = str(hub.identify(source, "model")["commit"])
    folder = hub.snapshot(source.repository, commit)
    if not hub.no_network() and not (folder is not None and (folder / "config.json").is_file()):
        folder = hub.fetch_small(source.repository, commit, adapter.WEIGHTS)
    return folder if folder is not None and adapter.is_adapter(folder) else None


def _of_the_hub(source: HubSource, commit: str) -> Facts:
    folder: Path = hub.fetch_small(source.repository, commit)
    # An adapter is also no model: what is wrong with it is said as of a folder.
    if why := problem_without_weights(folder):
        raise SourceError(f"source.repository: the model {source.repository} {why}")
    return read_facts(folder, hub.sizes(source.repository, commit))
