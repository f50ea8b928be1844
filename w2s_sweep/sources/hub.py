"""Repositories of the Hugging Face hub, named by a commit. Only data and safetensors are downloaded, never code or
pickles."""

import math
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.cache import offline, recall, remember
from w2s_sweep.sources.model_folder import weight_files

RepoType = Literal["model", "dataset"]

CONVERTED = "refs/convert/parquet"
"""Branch on which the hub keeps a Parquet copy of data sets that are stored in another form."""

WEIGHTS = "*.safetensors"
MODEL_FILES = [WEIGHTS, "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "tokenizer*"]
NOT_MODEL_FILES = ["*.bin", "*.h5", "original/*", "onnx/*", "openvino/*", "coreml/*", "consolidated*"]
OTHER_DATA = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")

_COMMIT = re.compile(r"[0-9a-f]{40}")


def identify(source: HubSource, repo_type: RepoType) -> dict[str, Any]:
    """Repository, commit and subset.

    The commit of a data set without data files of its own is that of its converted copy. Resolved revisions are
    remembered, so that a machine without the network can plan what was planned before.
    """
    commit = source.revision
    # A full commit needs no network.
    if not _COMMIT.fullmatch(commit):
        commit = _resolve(source.repository, source.revision, source.subset, repo_type)
    identity = {"kind": "hub", "repository": source.repository, "commit": commit}
    return identity if source.subset is None else identity | {"subset": source.subset}


def fetch(source: HubSource, identity: Mapping[str, Any], repo_type: RepoType) -> Path:
    """The snapshot folder of the commit, complete for what this project reads."""
    commit = str(identity["commit"])
    found = find(source, identity, repo_type)
    if found is not None and not (repo_type == "model" and _absent(found)):
        return found
    folder = _fetch(source, commit, repo_type)
    if not no_network():  # what the cache happens to have may be a part
        remember({"path": str(folder)}, "files", repo_type, source.repository, commit, source.subset)
    return folder


def find(source: HubSource, identity: Mapping[str, Any], repo_type: RepoType) -> Path | None:
    """The snapshot folder of the commit, where it was fetched before."""
    note = recall("files", repo_type, source.repository, str(identity.get("commit")), source.subset)
    return Path(note["path"]) if note and Path(note["path"]).is_dir() else None


def snapshot(repository: str, commit: str) -> Path | None:
    """The folder of a model's commit in the hub's own cache, perhaps in parts; None where there is none."""
    folder = _cache_of(repository, "model") / "snapshots" / commit
    return folder if folder.is_dir() else None


def fetch_small(repository: str, commit: str, *more: str) -> Path:
    """The folder of a model's commit with its configuration and tokenizer alone, and with files named `more`. Raises
    SourceError."""
    return _download(repository, commit, "model", [*(name for name in MODEL_FILES if name != WEIGHTS), *more])


def sizes(repository: str, commit: str) -> dict[str, int]:
    """Numbers in each tensor of a model, of the heads of its files: nothing else of them is fetched."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError

    try:
        found = HfApi(endpoint=_endpoint()).get_safetensors_metadata(repository, revision=commit)
    except (NotASafetensorsRepoError, SafetensorsParsingError) as error:
        raise SourceError(_without_weights(repository, commit)) from error
    except _failures() as error:
        raise SourceError(_explain(repository, commit, error)) from error
    return {name: math.prod(one.shape) for file in found.files_metadata.values() for name, one in file.tensors.items()}


def data_files(names: Iterable[str], subset: str | None) -> list[str]:
    """The Parquet files of a subset among a repository's files, else its JSONL, CSV or TSV files; none if neither.

    Raises SourceError if there are several subsets and `subset` does not choose one.
    """
    listed = sorted(names)
    for endings in ((".parquet",), OTHER_DATA):
        files = [name for name in listed if name.endswith(endings)]
        inside = [name for name in files if subset in PurePosixPath(name).parts[:-1]]
        if inside:
            return inside
        folders = sorted({PurePosixPath(name).parts[0] for name in files if len(PurePosixPath(name).parts) > 1})
        if files and subset in (None, "default"):
            if len(folders) > 1:
                raise SourceError(f"source.subset: the repository has several subsets. Allowed: {', '.join(folders)}.")
            return files
    return []


@cache
def _resolve(repository: str, revision: str, subset: str | None, repo_type: RepoType) -> str:
    # Cached for the life of the process: `main` must not move between two cells of one sweep.
    about = ("commit", repo_type, repository, revision, subset)
    if no_network():
        return _recall(repository, revision, repo_type, recall(*about))
    try:
        commit = _ask(repository, revision, subset, repo_type)
    except _failures() as error:
        if _is_answer(error):
            raise SourceError(_explain(repository, revision, error)) from error
        return _recall(repository, revision, repo_type, recall(*about), error)
    remember({"commit": commit}, *about)
    return commit


def _ask(repository: str, revision: str, subset: str | None, repo_type: RepoType) -> str:
    commit, names = _listing(repository, revision, repo_type)
    if repo_type == "model" or any(name.endswith(".parquet") for name in data_files(names, subset)):
        return commit
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        converted, copies = _listing(repository, CONVERTED, repo_type)
    except RevisionNotFoundError:
        converted, copies = commit, []
    if data_files(copies, subset):
        return converted
    if data_files(names, subset):
        return commit
    folders = sorted({PurePosixPath(name).parts[0] for name in [*names, *copies] if "/" in name})
    raise SourceError(
        f"source.repository: the data set {repository} has no data files"
        + (
            f" of subset {subset!r}. Folders found: {', '.join(folders) or 'none'}. Set source.subset."
            if subset
            else "."
        )
        + " Data sets that need a script to load are not supported: download it and use a local source."
    )


def _listing(repository: str, revision: str, repo_type: RepoType) -> tuple[str, list[str]]:
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=_endpoint())
    ask = hub.model_info if repo_type == "model" else hub.dataset_info
    info = ask(repository, revision=revision)
    return str(info.sha), [file.rfilename for file in info.siblings or []]


def _fetch(source: HubSource, commit: str, repo_type: RepoType) -> Path:
    """What this project reads of the commit; SourceError where that is not a whole model, or no data."""
    local = no_network()
    try:
        data = _existing_data(source, commit) if repo_type == "dataset" and not local else None
    except _failures() as error:
        raise SourceError(_explain(source.repository, commit, error)) from error
    folder = _download(source.repository, commit, repo_type, data)
    if repo_type == "model" and not any(folder.glob(WEIGHTS)):
        why = _not_here if local else _without_weights
        raise SourceError(why(source.repository, commit))
    if local and repo_type == "model" and (absent := _absent(folder)):
        raise SourceError(f"{_not_here(source.repository, commit)} {folder} lacks {', '.join(absent[:3])}.")
    return folder


def _download(repository: str, commit: str, repo_type: RepoType, files: list[str] | None = None) -> Path:
    """The snapshot folder with these files, or with all of a model; without the network as the hub's cache has it."""
    import huggingface_hub

    local = no_network()
    try:
        folder: str = cast(Any, huggingface_hub).snapshot_download(  # some of its types are unknown
            repository,
            repo_type=repo_type,
            revision=commit,
            allow_patterns=MODEL_FILES if files is None else files,
            ignore_patterns=NOT_MODEL_FILES if repo_type == "model" else [],
            local_files_only=local,
            endpoint=_endpoint(),
        )
    except _failures() as error:
        raise SourceError(_not_here(repository, commit) if local else _explain(repository, commit, error)) from error
    return Path(folder)


def _absent(folder: Path) -> list[str]:
    """Files of weights that a model's index names and that are not there."""
    return [name for name in weight_files(folder) if not (folder / name).is_file()]


def _without_weights(repository: str, commit: str) -> str:
    return (
        f"source.repository: {repository} has no safetensors weights at {commit[:12]}, and pickled weights are never "
        "loaded. Choose a revision that has them (often refs/pr/N), or convert a local copy."
    )


def _existing_data(source: HubSource, commit: str) -> list[str]:
    # Listed first: snapshot_download gives an empty folder, and no error, where no name fits its patterns.
    files = data_files(_listing(source.repository, commit, "dataset")[1], source.subset)
    if not files:
        raise SourceError(
            f"source.revision: {source.repository} has no data files at commit {commit[:12]}. Use revision: main, or a "
            f"commit of {CONVERTED}."
        )
    return files


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


def no_network() -> bool:
    """Whether the hub must not be asked: W2S_OFFLINE, or its own HF_HUB_OFFLINE."""
    return offline() or os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}


def _failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises: besides its own, the errors of the HTTP client that its release is built on."""
    from huggingface_hub.errors import HfHubHTTPError

    # huggingface_hub left requests for httpx with its release 1.0; the bases of its own error name the client's.
    return (OSError, ValueError, *HfHubHTTPError.__bases__)


def _is_answer(error: Exception) -> bool:
    """Whether the hub itself refused, as against not being reached."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, ValueError) or (status is not None and status < 500)


def _recall(
    repository: str, revision: str, repo_type: RepoType, note: dict[str, str] | None, error: Exception | None = None
) -> str:
    """The commit that was resolved before here, or that another tool recorded in the hub's own cache."""
    if note is not None:
        return note["commit"]
    ref = _cache_of(repository, repo_type) / "refs" / revision
    if ref.is_file():
        return ref.read_text().strip()
    raise SourceError(_not_here(repository, revision, error))


def _cache_of(repository: str, repo_type: RepoType) -> Path:
    """Where the hub's own tools keep what they fetched of a repository."""
    from huggingface_hub import constants

    root = Path(os.environ.get("HF_HUB_CACHE", constants.HF_HUB_CACHE)).expanduser()
    return root / f"{repo_type}s--{repository.replace('/', '--')}"


def _not_here(repository: str, revision: str, error: Exception | None = None) -> str:
    reason = f"the hub cannot be reached ({error})" if error else "the environment forbids the network"
    return (
        f"source.repository: {repository} at {revision!r} is not in the cache and {reason}. "
        "Start the sweep once where there is internet (a login node, say), with the same HF_HOME and W2S_CACHE."
    )


def _explain(repository: str, revision: str, error: Exception) -> str:
    kind = type(error).__name__
    advice = {
        "GatedRepoError": f"Accept its terms at https://huggingface.co/{repository} and log in with `hf auth login`.",
        "RepositoryNotFoundError": "Check owner and name; for a private one, log in with `hf auth login`.",
        "RevisionNotFoundError": "Set source.revision to a branch, tag or commit that it has.",
    }.get(kind, "Check the repository, the connection and the free space of the cache.")
    said = str(error).strip().splitlines()
    reason = f"{kind}: {said[0]}" if said else kind
    return f"source.repository: cannot fetch {repository} at {revision!r} ({reason}). {advice}"
