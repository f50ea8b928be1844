"""What a test cluster needs of Debian's packages, and how to install them without any service being started."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.slurm.processes import ClusterError

PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server-core",
}
"""Program -> package."""
FOR_ACCOUNTING = {"slurmdbd", "mariadbd"}
POLICY = Path("/usr/sbin/policy-rc.d")
APT = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]


def search_path() -> str:
    """PATH with the folders of daemons, which a user's own PATH often lacks."""
    folders = os.environ.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join([*folders, *(f for f in ("/usr/sbin", "/sbin") if f not in folders)])


def missing(accounting: bool = True, munge: bool = True) -> list[str]:
    """Programs that a cluster needs and this machine lacks."""
    unneeded = (set() if accounting else FOR_ACCOUNTING) | (set() if munge else {"munged"})
    return [name for name in PROGRAMS if name not in unneeded and shutil.which(name, path=search_path()) is None]


def install() -> None:
    """Install whatever is missing with apt-get; ClusterError when that fails or this is not root."""
    lacking = missing()
    if not lacking:
        return
    wanted = [PROGRAMS[name] for name in lacking]
    if os.geteuid() != 0:
        raise ClusterError(
            f"missing {', '.join(lacking)}. As root: apt-get install --no-install-recommends {' '.join(wanted)}"
        )
    with no_services():
        _apt(["apt-get", "update", "--quiet"])
        _apt([*APT, *wanted])


def _apt(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")


@contextmanager
def no_services() -> Iterator[None]:
    """Packages start their services unless policy-rc.d forbids it; one that is already there stays as it is."""
    try:
        POLICY.touch(mode=0o755, exist_ok=False)
    except FileExistsError:
        yield
        return
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()
