"""A real SLURM cluster on this machine: several nodes with fake GPUs, everything in one folder, on ports of its own.

A cluster outlives the process that started it; its folder is all that is needed to use or stop it. From the shell:

    python -m tests.slurm.cluster install             # as root: Debian's packages, no service is started
    python -m tests.slurm.cluster start DIR
    eval "$(python -m tests.slurm.cluster env DIR)"   # sbatch, squeue, ... now talk to it
    python -m tests.slurm.cluster crash DIR slurmd.n2
    python -m tests.slurm.cluster restart DIR slurmd.n2
    python -m tests.slurm.cluster stop DIR
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.slurm import processes
from tests.slurm.daemons import Daemons
from tests.slurm.packages import install, missing, search_path
from tests.slurm.ports import free_block
from tests.slurm.processes import ClusterError, wait_until
from tests.slurm.settings import Place, Settings, node_names, ports_needed, write

__all__ = ["Cluster", "ClusterError", "Settings", "install", "main", "missing"]

LONGEST_FOLDER = 60
"""Unix sockets have at most 107 characters; slurmstepd's are the longest."""
HEALTHY = {"idle", "mixed", "allocated", "completing", "planned"}
FILES = [
    *("cluster.json", "pids.json", "slurm.conf", "gres.conf", "slurmdbd.conf", "munge.key", "munged.seed"),
    *("state", "log", "spool", "munge", "mysql"),
]
"""What a start removes of an earlier cluster in the same folder; the first one says that they are a cluster's."""
DAEMONS = {"munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "slurmstepd"}


class Cluster:
    """A cluster in a folder: started by `start` or `with`, or found there if it already runs.

    A start removes what an earlier cluster left in the folder, and touches no other file in it.
    """

    def __init__(self, folder: Path, settings: Settings | None = None):
        self.folder = folder.resolve()
        self._description = self.folder / "cluster.json"
        self._given = settings
        if self._description.exists():
            self._read()

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def nodes(self) -> list[str]:
        return node_names(self.settings)

    @property
    def daemons(self) -> list[str]:
        """In the order of their start. A slurmd that finds no controller tries again only after ten seconds."""
        return [
            *(["munged"] if self.settings.munge else []),
            *(["mariadbd", "slurmdbd"] if self.settings.accounting else []),
            "slurmctld",
            *(f"slurmd.{node}" for node in self.nodes),
        ]

    @property
    def dead(self) -> list[str]:
        """Daemons that were started and do not run."""
        return [name for name, process in self._daemons.recorded.items() if not process.alive]

    def start(self) -> None:
        """Start everything and wait until all nodes can be used; on any failure what was started is stopped again.

        Raises ClusterError: programs are missing, the folder is in use, a daemon does not come up.
        """
        self._choose()
        try:
            self._prepare()
            for name in self.daemons:
                if name == "slurmctld" and self.settings.accounting:
                    self.run("sacctmgr", "--immediate", "add", "cluster", self.settings.name)
                self._daemons.start(name)
            wait_until(self._usable, 40, f"all nodes to be usable, see {self.folder}/log")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel all jobs, then end every process of this cluster. The folder stays, with its logs."""
        if not self._description.exists():
            return
        conf = str(self.place.conf)
        if os.environ.get("SLURM_JOB_ID") and os.environ.get("SLURM_CONF") == conf:
            raise ClusterError(f"{self.folder}: a job of this cluster cannot stop it")
        if self._daemons.controller_answers():
            self._cancel_all()
        self._daemons.end([f"slurmd.{node}" for node in self.nodes])
        # steps outlive slurmd, and what a job put in the background outlives its step
        found = list(processes.with_variable("SLURM_CONF", conf))
        processes.kill(process for process, command, in_job in found if in_job or command == "slurmstepd")
        for name in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            self._daemons.end([name])
        found = list(processes.with_variable("SLURM_CONF", conf))
        processes.kill(process for process, command, _ in found if command in DAEMONS)
        self._daemons.forget()
        if self.place.sockets != self.folder:
            shutil.rmtree(self.place.sockets, ignore_errors=True)

    def env(self) -> dict[str, str]:
        """What SLURM's commands need in their environment to talk to this cluster."""
        return {"SLURM_CONF": str(self.place.conf), "PATH": search_path()}

    def run(self, *command: str, timeout: float = 30) -> str:
        """Standard output of a command that talks to this cluster; ClusterError when it fails."""
        return self._daemons.run(command, timeout)

    def scontrol(self, *arguments: str) -> str:
        return self.run("scontrol", *arguments)

    def daemon(self, name: str) -> processes.Process:
        """The process of one that was started."""
        return self._daemons.recorded[self._known(name)]

    def crash(self, name: str) -> None:
        """kill -9 of one daemon: slurmctld, slurmd.n2, slurmdbd, mariadbd, munged. Its jobs run on."""
        self._daemons.kill(self._known(name))

    def restart(self, name: str) -> None:
        """Bring a daemon back, ending it first if it still runs; returns when it is ready."""
        self._daemons.end([self._known(name)])
        self._daemons.start(name)

    def wait_idle(self, timeout: float = 180) -> None:
        """Return when no job waits or runs and all nodes are idle; ClusterError with the queue after `timeout` s.

        A look that the controller does not answer is repeated: on a machine that is busy with the jobs' imports,
        squeue gives up after ten seconds (MessageTimeout).
        """
        unanswered = ""

        def idle() -> bool:
            nonlocal unanswered
            try:
                return self._idle()
            except ClusterError as error:
                unanswered = str(error)
                return False

        try:
            wait_until(idle, timeout, "the cluster to be idle")
        except ClusterError as error:
            seen = f"{self.run('squeue')}{self.run('sinfo', '--Node')}"
            raise ClusterError(f"{error}\n{unanswered}\n{seen}") from error

    def _idle(self) -> bool:
        return not self.run("squeue", "--noheader", "--format=%i").strip() and all(
            state == "idle" for state in self._daemons.node_states().values()
        )

    def _usable(self) -> bool:
        states = self._daemons.node_states().values()
        return len(states) == self.settings.nodes and all(state.rstrip("-") in HEALTHY for state in states)

    def _cancel_all(self) -> None:
        try:
            self.run("scancel", "--quiet", "--me")
            wait_until(lambda: not self.run("squeue", "--noheader").strip(), 10, "all jobs to end")
        except ClusterError as error:
            print(f"{error}; their processes will be killed", file=sys.stderr)

    def _known(self, name: str) -> str:
        if name not in self._daemons.recorded:
            raise ClusterError(f"unknown daemon {name!r}. Running here: {', '.join(self._daemons.recorded) or 'none'}")
        return name

    def _read(self) -> None:
        saved = json.loads(self._description.read_text())
        self.settings = Settings(**(saved["settings"] | {"extra": tuple(saved["settings"]["extra"])}))
        self.place = Place(self.folder, Path(saved["sockets"]), saved["port"])
        self._daemons = Daemons(self.settings, self.place)

    def _choose(self) -> None:
        """Settle settings, ports and folders and write them down; the folder must be free."""
        settings = self._given or Settings()
        lacking = missing(settings.accounting, settings.munge)
        if lacking:
            raise ClusterError(f"missing {', '.join(lacking)}. As root: python -m tests.slurm.cluster install")
        self._clear()
        sockets = self.folder
        if len(str(self.folder)) > LONGEST_FOLDER:
            sockets = Path(tempfile.mkdtemp(prefix="slurm."))
        saved = {"settings": asdict(settings), "sockets": str(sockets), "port": free_block(ports_needed(settings))}
        self._description.write_text(json.dumps(saved))
        self._read()

    def _clear(self) -> None:
        """Remove what an ended cluster left; ClusterError if one runs here, or if the files are somebody else's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        left = [self.folder / name for name in FILES if (self.folder / name).exists()]
        if left and not self._description.exists():
            raise ClusterError(f"{left[0]}: is not of a cluster. A cluster wants a folder of its own.")
        running = [name for name, process in self._daemons.recorded.items() if process.alive] if left else []
        if running:
            raise ClusterError(f"{self.folder}: {', '.join(running)} already run here. Stop this cluster first.")
        for path in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _prepare(self) -> None:
        """Folders, configuration, key and database."""
        for folder in (self.folder / "state", self.folder / "log", self.place.sockets / "spool"):
            folder.mkdir()
        write(self.settings, self.place)
        if self.settings.munge:
            self.place.munge_socket.parent.mkdir(mode=0o755)
            key = self.folder / "munge.key"
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(128))
        if self.settings.accounting:
            self._daemons.make_database()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.slurm.cluster", description="A real SLURM cluster in a folder."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("install", help="install what is missing with apt-get, as root")
    for action, text in {
        "start": "start a cluster; it outlives this command",
        "stop": "cancel its jobs and end all its processes",
        "env": "print what to `eval` so that sbatch and squeue talk to it",
        "crash": "kill -9 one of its daemons",
        "restart": "bring a daemon back",
    }.items():
        actions.add_parser(action, help=text).add_argument("folder", type=Path)
    for action in ("crash", "restart"):
        actions.choices[action].add_argument("name", help="slurmctld, slurmd.n2, slurmdbd, mariadbd or munged")
    start, default = actions.choices["start"], Settings()
    for field in ("nodes", "cpus", "memory_mb", "gpus", "cred_expire", "slurmd_timeout"):
        start.add_argument(f"--{field.replace('_', '-')}", type=int, default=getattr(default, field))
    start.add_argument("--name", default=default.name, help="of the cluster (default: %(default)s)")
    start.add_argument("--accounting", action=argparse.BooleanOptionalAction, default=default.accounting)
    start.add_argument("--munge", action=argparse.BooleanOptionalAction, default=default.munge)
    start.add_argument("--extra", action="append", default=[], metavar="LINE", help="a line for slurm.conf")
    return parser


def _act(arguments: argparse.Namespace) -> None:
    if arguments.action == "install":
        install()
        return
    if arguments.action == "start":
        given = {name: getattr(arguments, name) for name in asdict(Settings()) if name != "extra"}
        cluster = Cluster(arguments.folder, Settings(**given, extra=tuple(arguments.extra)))
        cluster.start()
        print(f"up: {len(cluster.nodes)} nodes in {cluster.folder}", file=sys.stderr)
        return
    cluster = Cluster(arguments.folder)
    if not (cluster.folder / "cluster.json").exists():
        raise ClusterError(f"{cluster.folder}: no cluster here")
    match arguments.action:
        case "stop":
            cluster.stop()
        case "env":
            print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in cluster.env().items()))
        case "crash":
            cluster.crash(arguments.name)
        case "restart":
            cluster.restart(arguments.name)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line above; returns the exit status."""
    try:
        _act(_parser().parse_args(argv))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
