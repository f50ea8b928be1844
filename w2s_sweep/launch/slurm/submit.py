"""Submission: one waiting array for each set of resources, then dependencies task by task, then all are released.

A submission goes through the states "submitting" (written before the first sbatch), "held" (all tasks are written down)
and "submitted" (released), or ends as "cancelled". Whatever a submitter that dies leaves is found by the token in the
jobs' names, and the next submission to the store cancels what was not written down and releases what was (mend.py).
"""

import getpass
import secrets
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.arrays import submit_array
from w2s_sweep.launch.slurm.dependency import dependency
from w2s_sweep.launch.slurm.queued import folder_of, records
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import write_json

Array = tuple[Ask, list[Pack]]


def submit(
    job: Job, arrays: Sequence[Array], settings: Settings, code: Path, running: Mapping[str, str], cluster: str
) -> None:
    """Submit all packs; `running` maps stages that are in flight elsewhere to their jobs, `cluster` is its name.

    Raises LaunchError when SLURM refuses anything; nothing is left in the queue then.
    """
    token = secrets.token_hex(4)
    path = folder_of(job.store) / f"{token}.json"
    path.parent.mkdir(exist_ok=True)
    record: dict[str, Any] = {
        "token": token,
        "sweep": job.name,
        "user": getpass.getuser(),
        "cluster": cluster,
        "submitted": file_system_now(path.parent),
        "state": "submitting",
    }
    # Before the first sbatch: of a submitter that dies after it, only this token explains the tasks in the queue.
    write_json(path, record)
    with _all_or_nothing(path, record):
        ids: dict[str, str] = {}
        for number, (ask, packs) in enumerate(arrays):
            found = submit_array(job, packs, ask, settings, code, f"w2s-{token}-{number}")
            ids |= {pack.name: one for pack, one in zip(packs, found, strict=True)}
        # Dependencies come when every task has an id, and before the release: no task can start without its own.
        packs = [pack for _, chunk in arrays for pack in chunk]
        wanted = _dependencies(job, packs, ids, running)
        commands.set_dependencies(wanted)
        record |= {"tasks": [_task(pack, ids[pack.name], wanted) for pack in packs], "arrays": len(arrays)}
        write_json(path, record | {"state": "held"})
    # By array, not by task: one change for the controller where there may be a thousand tasks.
    commands.release(sorted({one.partition("_")[0] for one in ids.values()}))
    write_json(path, record | {"state": "submitted"})
    write_json(job.folder / "jobs" / f"submission-{token}.json", record | {"state": "submitted"})


@contextmanager
def _all_or_nothing(path: Path, record: Mapping[str, Any]) -> Generator[None]:
    """Cancel what was submitted when the rest of it cannot be; the record stays a while, for tasks that come back."""
    try:
        yield
    except BaseException:
        with suppress(LaunchError):  # else the next submission finds the tasks by their token
            mine = [t.job for t in commands.queue().values() if t.name.startswith(f"w2s-{record['token']}-")]
            commands.cancel(mine)
            write_json(path, {**record, "state": "cancelled"})
        raise


def _dependencies(
    job: Job, packs: Sequence[Pack], ids: Mapping[str, str], running: Mapping[str, str]
) -> dict[str, str]:
    """Job -> what it waits for, of the jobs that wait."""
    owner = dict(running) | {key: ids[pack.name] for pack in packs for key in pack.keys}
    sizes = Counter(record.job for record in records(job.store).values())
    sizes.update(ids[pack.name] for pack in packs for _ in pack.keys)
    found = {ids[pack.name]: dependency(pack, owner, sizes) for pack in packs}
    return {one: text for one, text in found.items() if text}


def _task(pack: Pack, one: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    return {"pack": pack.name, "job": one, "stages": list(pack.keys), "dependency": wanted.get(one, "")}
