"""Who types the commands of a sweep that is disturbed: one user, two users of one store, or a user of two clusters."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.grid import ROOT
from tests.slurm.cluster import Cluster, ClusterError
from tests.users import ANN, BOB, GROUP, run_as

PRIVATE = "W2S_CHAOS_PRIVATE"
"""Set where mounts are seen by this process and its children alone."""


@dataclass(frozen=True)
class Scene:
    """Who shares a store with whom."""

    name: str
    users: bool = False
    """Two users, neither of them root; else one."""
    clusters: bool = False
    """Two clusters, each of which knows nothing of the other; else one."""
    config: tuple[str, ...] = ()
    """Lines for slurm.conf."""

    @property
    def shared(self) -> bool:
        return self.users or self.clusters


ALONE = Scene("one user, one cluster")
SCENES = (
    ALONE,
    Scene("two users", users=True),
    Scene("another cluster's view", clusters=True),
    Scene("two users, jobs private", users=True, config=("PrivateData=jobs",)),
)


@dataclass(frozen=True)
class Person:
    """A user at a cluster."""

    cluster: Cluster | None
    """None: without any."""
    folder: Path
    """For files of all persons."""
    user: int | None = None
    """Of whom processes are; None: of whoever runs this."""

    @property
    def name(self) -> str:
        """As SLURM knows the user."""
        return {None: "", ANN: "ann", BOB: "bob"}[self.user]

    def env(self) -> dict[str, str]:
        """Of their processes."""
        there = {**os.environ, **(self.cluster.env() if self.cluster else {})}
        if self.user is None:
            return there
        home = self.folder / f"home-{self.name}"
        own = {"HOME": str(home), "USER": self.name, "LOGNAME": self.name, "W2S_CACHE": str(home / "cache")}
        return there | own

    def start(self, words: Sequence[str], env: Mapping[str, str], **more: Any) -> "subprocess.Popen[Any]":
        """Python with these words, as a process of theirs."""
        if self.user is not None:
            more |= {"user": self.user, "group": self.user, "extra_groups": [GROUP], "umask": 0o022}
        return subprocess.Popen([sys.executable, *words], env={**env}, cwd=ROOT, **more)

    def command(self, *words: str) -> None:
        """A process of theirs that must succeed."""
        done = self.start(words, self.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=900)
        if done.returncode:
            raise ClusterError(f"{' '.join(words[:6])} ...: {said.decode(errors='replace')[-3000:]}")

    def look(self, function: Callable[[], Any]) -> Any:
        """What `function` returns where they are."""
        found = function() if self.user is None else run_as(self.user, lambda: self._there(function))
        if isinstance(found, BaseException):
            raise found
        return found

    def _there(self, function: Callable[[], Any]) -> Any:
        os.environ.update(self.env())  # of a process of its own
        return function()


def isolate() -> None:
    """Start this program again where its mounts are its own and end with it; nothing where only root may do so."""
    if os.geteuid() or os.environ.get(PRIVATE):
        return
    words = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode == 0:
        os.environ[PRIVATE] = "1"
        os.execvp(words[0], [*words, *sys.orig_argv])


def isolated() -> bool:
    return os.environ.get(PRIVATE) == "1"


def make_users(folder: Path) -> bool:
    """Two users whom this process and its children alone know, with homes in `folder`; False where that cannot be."""
    if not isolated():
        return False
    known = folder / "passwd"
    entries = [f"{name}:x:{user}:{user}::{folder}/home-{name}:/bin/sh" for name, user in (("ann", ANN), ("bob", BOB))]
    known.write_text("\n".join([Path("/etc/passwd").read_text().rstrip(), *entries, ""]))
    known.chmod(0o644)
    _mount("--bind", str(known), "/etc/passwd")
    for name, user in (("ann", ANN), ("bob", BOB)):
        (folder / f"home-{name}").mkdir(mode=0o700)
        os.chown(folder / f"home-{name}", user, user)
    _open(Path(sys.base_prefix))
    python = Person(None, folder, ANN).start(["-c", "import benchmarks"], os.environ)
    return python.wait(60) == 0


def _open(path: Path) -> None:
    """Let everybody reach a folder that lies in one which is closed to others, such as Python in a home."""
    closed = [one for one in reversed(path.parents) if not one.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return
    aside = Path("/tmp/w2s-chaos-aside")
    aside.mkdir(exist_ok=True)
    _mount("--bind", str(path), str(aside))
    _mount("-t", "tmpfs", "-o", "mode=755,size=1m", "w2s-chaos", str(closed[0]))
    path.mkdir(parents=True)
    _mount("--move", str(aside), str(path))
    aside.rmdir()


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


@contextmanager
def disk_of_its_own(folder: Path, megabytes: int) -> Generator[Path]:
    """A disk that can be filled; where none can be mounted, a folder, and no disk is filled. Everybody can write."""
    folder.mkdir()
    if isolated():
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "w2s-chaos", str(folder))
    folder.chmod(0o1777)
    try:
        yield folder
    finally:
        if isolated():
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
