"""Claims: who runs a stage now. A claim is a lease that its owner keeps alive; a dead owner's lease is taken over.

Claims only save work. Should two owners ever run one stage at once, both publish the same content and one wins.
Ages are measured on the file system's own clock, so that the clocks of the nodes do not matter.
"""

import errno
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.errors import W2SError
from w2s_sweep.store.files import explain_errors, read_json
from w2s_sweep.store.store import Store

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer; EPERM is Linux's for vfat and exFAT."""
WAIT_SECONDS = 0.2
"""Between two looks at a claim that is waited for."""
BEAT_SECONDS = 5.0
LEASE_SECONDS = 60.0
"""A claim without a heartbeat for so long is dead. Long enough for the attribute caches of network file systems."""
SILENT_SECONDS = 3 * BEAT_SECONDS
"""The same for the claim of an earlier run of the claimant's job: that run has ended, unless SLURM lost sight of it."""


def boot_id() -> str:
    """Names this boot of this machine and this space of process ids, so that a process id means something."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "unknown"


def process_started(pid: int) -> str | None:
    """Start time of a live process in clock ticks; None if it is gone or a zombie."""
    try:
        # The second field is the program's name in brackets, which may hold blanks and brackets of its own.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def slurm_job() -> str | None:
    """`JOB` or `ARRAY_TASK` of the SLURM job this process runs in."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def owner_record() -> dict[str, Any]:
    """Who claims: host, boot, process and SLURM job with its restart count."""
    return {
        "host": socket.gethostname(),
        "boot": boot_id(),
        "pid": os.getpid(),
        "started": process_started(os.getpid()),
        "job": slurm_job(),
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
    }


@dataclass(frozen=True)
class Claim:
    """What is known of the owner of a stage."""

    record: Mapping[str, Any]
    age: float
    """Seconds since the last heartbeat, on the file system's clock."""

    @property
    def known(self) -> bool:
        """Whether it says whose it is."""
        return "token" in self.record

    @property
    def seen(self) -> bool:
        """Whether the owner's process can be seen from here."""
        here = self.record.get("host") == socket.gethostname() and self.record.get("boot") == boot_id()
        return here and self.record.get("started") is not None  # None: a system without /proc

    @property
    def alive(self) -> bool:
        """Whether the owner still runs: by its process where that can be seen, by its heartbeat elsewhere."""
        if self.seen:
            # The id may be another process's by now; its start time tells the two apart.
            return process_started(int(self.record.get("pid", 0))) == self.record.get("started")
        return self.age < LEASE_SECONDS

    def yields_to(self, other: Mapping[str, Any]) -> bool:
        """Whether `other` may take over: the owner is dead, or an earlier run of the same job that has gone silent.

        An earlier run that still beats is an orphan, of which SLURM lost sight: its result is waited for.
        """
        if not self.alive:
            return True
        return not self.seen and self._earlier_than(other) and self.age > SILENT_SECONDS

    def _earlier_than(self, other: Mapping[str, Any]) -> bool:
        return (
            other["job"] is not None
            and other["job"] == self.record.get("job")
            and other["restarts"] > self.record.get("restarts", 0)
        )


def file_system_now(folder: Path) -> float:
    """The file system's idea of now, in seconds since the epoch."""
    # The server stamps a new file with its own time; the clock of this node may be minutes off.
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:  # a reader without the right to write, a full disk: this node's clock is what there is
        return time.time()


def read_claim(store: Store, key: str, now: float | None = None) -> Claim | None:
    """The claim on a stage, if there is one. `now` saves a file system round trip when many are read."""
    return _read(store.claim_path(key), now)


def _read(path: Path, now: float | None = None) -> Claim | None:
    record = read_json(path)
    try:
        # An empty or damaged claim says not whose it is: it is believed as long as that of another machine.
        record = record or {"host": "an unknown host (its claim cannot be read)", "pid": 0, "job": None}
        beat = path.stat().st_mtime
        return Claim(record, (file_system_now(path.parent) if now is None else now) - beat)
    except FileNotFoundError:
        return None


class Lease:
    """A claim that is ours; a thread keeps it alive until it is released. Use as a context manager."""

    def __init__(self, store: Store, key: str, token: str):
        self.path = store.claim_path(key)
        self.token = token
        self.lost = threading.Event()
        """Set when somebody else took the claim over: stop working on the stage."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"claim-{key}", daemon=True)
        self._thread.start()

    def check(self) -> bool:
        """Whether the claim is ours at this moment, as far as the file system can tell; sets `lost` where it is not."""
        record = read_json(self.path)
        gone = record is None and not self.path.exists()
        if gone or (record is not None and record.get("token") != self.token):
            self.lost.set()
        return not self.lost.is_set()

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                if not self.check():
                    return
                # Without times: on NFS the server then sets its own, by which all ages are measured.
                os.utime(self.path)
            except OSError:  # one failure of the file system is not a lost claim; the next beat tries again
                continue

    def release(self) -> None:
        self._end.set()
        self._thread.join()
        with suppress(OSError):
            if self.check():
                self.path.unlink(missing_ok=True)
            _clear(self.path)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def hold(store: Store, name: str, seconds: float, busy: W2SError) -> Generator[None]:
    """Hold a claim, waited for up to so many seconds; `busy` is raised where its live owner keeps it for longer."""
    # A claim and not flock, which NFS and Lustre, by their mount options, keep to one machine or do not have.
    deadline = time.monotonic() + seconds
    while (lease := acquire(store, name)) is None:
        if time.monotonic() > deadline:
            raise busy
        time.sleep(WAIT_SECONDS)
    with lease:
        yield


def acquire(store: Store, key: str) -> Lease | None:
    """Claim a stage; None while a live owner has it."""
    path, token = store.claim_path(key), secrets.token_hex(8)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = owner_record() | {"token": token}
    mine = path.with_name(f".{key}.{token}")
    with explain_errors(path):
        try:
            _write(mine, record)
            if _link(mine, path) or _take_over(store, key, mine, record):
                return Lease(store, key, token)
            return None
        except FileNotFoundError:  # we slept so long that an owner on another host took our record for a dead one's
            return None
        finally:
            mine.unlink(missing_ok=True)


def _write(mine: Path, record: Mapping[str, Any]) -> None:
    """Write a record nobody looks for yet, in one piece, so that whoever finds it can tell whether its writer lives."""
    with mine.open("xb") as file:
        file.write(json.dumps(record, indent=1).encode())
        file.flush()  # one write: whoever is killed before it leaves an empty file, which `w2s gc` removes
        os.fsync(file.fileno())


def _clear(path: Path) -> None:
    """Remove what claimants that were killed while they tried to get this claim left beside it."""
    for record in path.parent.glob(f".{path.name}.*"):
        _remove_dead(record)


def _link(mine: Path, path: Path) -> bool:
    """Put our record in place if nothing is there: a hard link is atomic on network file systems too."""
    try:
        # Not O_EXCL: the file would be there before its content, and an empty claim does not say whose it is.
        os.link(mine, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _create(path, mine.read_bytes())
    return True


def _create(path: Path, content: bytes) -> bool:
    """As `_link`, where the file system has no hard links: whoever reads it too early believes it for a while."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
    return True


def _take_over(store: Store, key: str, mine: Path, record: Mapping[str, Any]) -> bool:
    """Replace a dead owner's record; one taker at a time, and the death is checked again inside."""
    path = store.claim_path(key)
    guard = path.with_name(f".{key}.takeover")
    if not _link(mine, guard):
        _remove_dead(guard)
        return False
    try:
        # Read again under the guard: another taker may have been here since the record was found dead.
        claim = read_claim(store, key)
        if claim is None:  # released meanwhile
            return _link(mine, path)
        if not claim.yields_to(record):
            return False
        mine.replace(path)
        os.utime(path)
        return True
    finally:
        # Only now: while the guard is there nobody else replaces the record.
        guard.unlink(missing_ok=True)


def _remove_dead(path: Path) -> None:
    """Remove the record of a dead claimant: the guard of a taker that died inside, or one that never got a claim."""
    claim = _read(path)
    if claim is not None and not claim.alive:
        path.unlink(missing_ok=True)
