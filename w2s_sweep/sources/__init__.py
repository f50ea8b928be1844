"""Where models and data come from. `identify` names content for ever, `fetch` makes it a local file or folder.

The identity enters keys, so it holds a commit or a SHA-256 and never a path or a branch. `fetch` never writes outside
the cache, and what it published there never changes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_sweep.config.source import (
    AdapterSource,
    HubSource,
    LocalSource,
    MadeUpSource,
    ScratchSource,
    Source,
    WheelSource,
)
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import adapter, hub, local, made_up, manifest, scratch, wheel
from w2s_sweep.sources.hub import RepoType
from w2s_sweep.sources.model_folder import require_model

__all__ = ["fetch", "find", "identify"]


def identify(source: Source, repo_type: RepoType) -> dict[str, Any]:
    """What names the content of `source` for ever, as plain JSON.

    hub: the commit its revision points to now (needs the network unless the revision is a commit or the hub's cache
    knows it); local: the digest of the content, for a model only of what can be one; wheel: what the source pins,
    without reading anything; made_up and scratch: what rows or weights are computed from;
    adapter: digest of the adapter and identity of its base.
    Raises SourceError.
    """
    match source:
        case HubSource():
            return hub.identify(source, repo_type)
        case LocalSource():
            if repo_type == "model":
                require_model(local.existing(source))
            return local.identify(source)
        case WheelSource():
            return wheel.identify(source)
        case MadeUpSource():
            if repo_type == "model":
                raise SourceError("source.kind: made_up makes rows of a dataset, no model. Use hub, local or wheel.")
            return made_up.identify(source)
        case ScratchSource():
            if repo_type == "dataset":
                raise SourceError(
                    "source.kind: scratch makes a model, no rows of a dataset. Use hub, local or made_up."
                )
            return scratch.identify(source)
        case AdapterSource():
            return adapter.identify(source, identify(source.base, "model"))


def fetch(source: Source, identity: Mapping[str, Any], repo_type: RepoType) -> Path:
    """The local file or folder that `identity` names, downloaded into the cache if it is not there yet.

    Several processes may fetch the same source at once. Raises SourceError, also when the content of a local source is
    no longer what `identity` names, or a file of the cache was damaged.
    """
    match source:
        case HubSource():
            return manifest.check(hub.fetch(source, identity, repo_type))
        case LocalSource():
            return local.fetch(source, identity)
        case WheelSource():
            return manifest.check(wheel.fetch(source))
        case MadeUpSource():
            return manifest.check(made_up.fetch(source))
        case ScratchSource():
            return manifest.check(scratch.fetch(source))
        case AdapterSource():  # its links lead to files that are checked where they lie
            return adapter.fetch(source, identity, fetch(source.base, identity["base"], "model"))


def find(source: Source, identity: Mapping[str, Any], repo_type: RepoType) -> Path | None:
    """The local file or folder of `identity` as it is on this machine now, perhaps in parts; None where nothing is.
    Neither downloads nor checks anything."""
    match source:
        case HubSource():
            return hub.find(source, identity, repo_type)
        case LocalSource():
            return Path(source.path).expanduser()
        case WheelSource():
            return wheel.find(source)
        case MadeUpSource():
            return made_up.find(source)
        case ScratchSource():
            return scratch.find(source)
        case AdapterSource():
            return adapter.find(identity, find(source.base, identity["base"], "model"))
