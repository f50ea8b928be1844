"""Submission: one waiting array for each set of resources, then dependencies task by task, then all are released.

A submission goes through the states "submitting" (written before the first sbatch), "held" (all tasks are written down)
and "submitted" (released), or ends as "cancelled". Whatever a submitter that dies leaves is found by the token in the
jobs' names, and the next submission to the store cancels what was not written down and releases what was (mend.py).

In the plain mode, for sites that forbid changes of jobs, an array's dependency is an option of its sbatch, and its
tasks may start at once: what a dead submitter did not write down is cancelled all the same, and submitted again.
"""

import getpass
import secrets
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
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
    job: Job,
    arrays: Sequence[Array],
    settings: Settings,
    code: Path,
    running: Mapping[str, str],
    cluster: str,
    again: bool = False,
) -> None:
    """Submit all packs; `running` maps stages that are in flight elsewhere to their jobs, `cluster` is its name.

    `again`: nobody asked for these stages anew (waves.py). Raises LaunchError when SLURM refuses anything; nothing is
    left in the queue then.
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
        "again": again,
        "state": "submitting",
    }
    # Before the first sbatch: of a submitter that dies after it, only this token explains the tasks in the queue.
    write_json(path, record)
    with _all_or_nothing(path, record):
        waits = _Waits(job, arrays, running)
        for number, (ask, packs, text) in enumerate(_plain(waits, arrays) if settings.plain else _hold(arrays)):
            found = submit_array(job, packs, ask, settings, code, f"w2s-{token}-{number}", text)
            waits.add(packs, found)
        packs = [pack for _, chunk in arrays for pack in chunk]
        wanted = {waits.ids[pack.name]: text for pack in packs if (text := waits.text(pack))}
        if not settings.plain:
            # Dependencies come when every task has an id, and before the release: no task can start without its own.
            commands.set_dependencies(wanted)
        tasks = [_task(pack, ask, waits.ids[pack.name], wanted) for ask, chunk in arrays for pack in chunk]
        record |= {"tasks": tasks, "arrays": len(arrays)}
        write_json(path, record | {"state": "held"})
    if not settings.plain:
        _release(path, record, waits.ids.values())
    write_json(path, record | {"state": "submitted"})
    write_json(job.folder / "jobs" / f"submission-{token}.json", record | {"state": "submitted"})


def _release(path: Path, record: Mapping[str, Any], ids: Iterable[str]) -> None:
    """By array, not by task: one change for the controller where there may be a thousand tasks."""
    try:
        commands.release(sorted({one.partition("_")[0] for one in ids}))
    except LaunchError as error:
        if commands.forbidden(error):  # else the next submission to the store releases them
            with _all_or_nothing(path, record):
                raise
        raise


class _Waits:
    """What each task of a submission waits for, as the ids of the others become known."""

    def __init__(self, job: Job, arrays: Sequence[Array], running: Mapping[str, str]):
        self.ids: dict[str, str] = {}
        """Pack -> job."""
        self._ours = {key for _, packs in arrays for pack in packs for key in pack.keys}
        self._owner = {key: one for key, one in running.items() if key not in self._ours}
        self._sizes = Counter(record.job for record in records(job.store).values())

    def add(self, packs: Sequence[Pack], ids: Sequence[str]) -> None:
        for pack, one in zip(packs, ids, strict=True):
            self.ids[pack.name] = one
            self._owner |= dict.fromkeys(pack.keys, one)
            self._sizes[one] += len(pack.keys)

    def is_known(self, pack: Pack) -> bool:
        """Whether everything that a pack waits for has an id."""
        return all(key in self._owner for key in pack.waits_for & self._ours)

    def text(self, pack: Pack) -> str:
        """In SLURM's words; empty where it waits for nothing."""
        return dependency(pack, self._owner, self._sizes)


def _hold(arrays: Sequence[Array]) -> Iterator[tuple[Ask, list[Pack], str]]:
    """All tasks of an array at once, which get their dependencies later."""
    for ask, packs in arrays:
        yield ask, packs, ""


def _plain(waits: _Waits, arrays: Sequence[Array]) -> Iterator[tuple[Ask, list[Pack], str]]:
    """An array for those tasks that wait for the same, after those that they wait for: sbatch takes one dependency for
    a whole array, and nothing is changed afterwards."""
    left = [(number, pack) for number, (_, packs) in enumerate(arrays) for pack in packs]
    while left:
        ready = {pack.name for _, pack in left if waits.is_known(pack)}
        alike: dict[tuple[int, str], list[Pack]] = {}
        for number, pack in left:
            if pack.name in ready:
                alike.setdefault((number, waits.text(pack)), []).append(pack)
        for (number, text), packs in alike.items():
            yield arrays[number][0], packs, text
        left = [(number, pack) for number, pack in left if pack.name not in ready]


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


def _task(pack: Pack, ask: Ask, one: str, wanted: Mapping[str, str]) -> dict[str, Any]:
    asked = ask.asked.to_record()
    return {"pack": pack.name, "job": one, "stages": list(pack.keys), "dependency": wanted.get(one, ""), "ask": asked}
