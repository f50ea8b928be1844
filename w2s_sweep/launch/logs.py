"""Where the logs of a stage are: its own, and for one that is not finished what its job printed outside any stage."""

import getpass
from pathlib import Path

from w2s_sweep.launch.slurm.queued import records as submitted
from w2s_sweep.launch.status import task_file
from w2s_sweep.store import Store


def find_logs(store: Store, prefix: str) -> tuple[str, list[Path], str]:
    """The key that starts with `prefix`, of all stages that any sweep of the store names, its log files, and what of
    its job cannot be shown: others cannot read the job files of a user."""
    key = store.find_any(prefix)
    logs = [folder / "log.txt" for folder in (store.path(key), store.work(key))]
    record = None if store.is_done(key) else submitted(store).get(key)
    if record is not None:
        logs.append(task_file(store, record.sweep, record.job, "log"))
    found, me = [path for path in logs if _has_content(path)], getpass.getuser()
    if record is None or record.user == me or logs[-1] in found:
        return key, found, ""
    return key, found, f"what its job {record.job} printed is private to {record.user}, who submitted it"


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except PermissionError:  # what another user's job printed outside any stage is theirs
        return False
