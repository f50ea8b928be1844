"""The daemons of a cluster: how each is started and when it is ready. Each is recorded as soon as its pid is known."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.slurm import processes
from tests.slurm.packages import search_path
from tests.slurm.ports import listens
from tests.slurm.processes import ClusterError, Process, wait_until
from tests.slurm.settings import Place, Settings

SYSTEM_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")
STOP_SECONDS = 5
BATCH = re.compile("^(SLURM|SLURMD|SBATCH|SRUN|SALLOC)_")


class Daemons:
    """Starts, records and ends the daemons of one cluster; what was recorded survives the process that did it."""

    def __init__(self, settings: Settings, place: Place):
        self.settings = settings
        self.place = place
        self._record = place.folder / "pids.json"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without what a surrounding job or cluster left in it."""
        clean = {name: value for name, value in os.environ.items() if not BATCH.match(name)}
        return {**clean, "SLURM_CONF": str(self.place.conf), "PATH": search_path()}

    @property
    def recorded(self) -> dict[str, Process]:
        """Daemon -> process, dead ones included, in the order of their start."""
        if not self._record.exists():
            return {}
        return {name: Process(**fields) for name, fields in json.loads(self._record.read_text()).items()}

    def run(self, command: Sequence[str], timeout: float = 30) -> str:
        """Standard output of a command on this cluster; ClusterError when it fails or hangs."""
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{' '.join(command)}: no answer in {timeout:g} s") from error
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, name: str) -> None:
        """Start `munged`, `mariadbd`, `slurmdbd`, `slurmctld` or `slurmd.<node>`; returns when it is ready."""
        pid_file = self.place.folder / f"{name}.pid"
        pid_file.unlink(missing_ok=True)
        log = self.place.folder / "log" / f"{name}.out"
        with log.open("ab") as out:  # no pipe: a daemon would keep it open
            done = subprocess.run(
                self._command(name, pid_file),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=60,
                check=False,
            )
        if done.returncode:
            raise ClusterError(f"{name}: status {done.returncode}: {log.read_text()[-2000:].strip()}")
        wait_until(lambda: _pid_in(pid_file) is not None, 20, f"{name} to start, see {log.parent}")
        self._remember(name, _pid_in(pid_file))
        wait_until(lambda: self._ready(name), 40, f"{name} to be ready, see {log.parent}")

    def end(self, names: Sequence[str]) -> None:
        """End these daemons; those that are not running are left alone."""
        known = self.recorded
        processes.end([known[name] for name in names if name in known], STOP_SECONDS)

    def kill(self, name: str) -> None:
        processes.kill([self.recorded[name]])

    def forget(self) -> None:
        self._record.unlink(missing_ok=True)

    def make_database(self) -> None:
        """An empty database server: slurmdbd needs no system table but that of stored procedures."""
        (self.place.folder / "mysql").mkdir()
        statements = ["create database mysql;", "use mysql;"]
        tables = SYSTEM_TABLES.read_text().splitlines()
        statements += [line for line in tables if line.startswith("CREATE TABLE IF NOT EXISTS proc ")]
        done = subprocess.run(
            [*self._mariadbd(), "--bootstrap"],
            env=self.environment,
            input="\n".join(statements) + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"mariadbd --bootstrap: status {done.returncode}: {done.stderr[-2000:]}")

    def controller_answers(self) -> bool:
        """Whether slurmctld takes requests; asked by port first, as the commands wait long for a dead controller."""
        if not listens(self.place.port):
            return False
        try:
            return "is UP" in self.run(["scontrol", "ping"], timeout=5)
        except ClusterError:
            return False

    def node_states(self) -> dict[str, str]:
        """Node -> state as sinfo says it; a trailing `*` means that its slurmd does not answer."""
        lines = self.run(["sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T"]).splitlines()
        return {node: state for node, _, state in (line.partition(" ") for line in lines)}

    def _command(self, name: str, pid_file: Path) -> list[str]:
        folder = self.place.folder
        if name == "munged":
            return [
                "munged",
                "--force",
                "--num-threads=4",
                f"--key-file={folder}/munge.key",
                f"--socket={self.place.munge_socket}",
                f"--pid-file={pid_file}",
                f"--log-file={folder}/log/munged.log",
                f"--seed-file={folder}/munged.seed",
            ]
        if name == "mariadbd":
            served = [f"--pid-file={pid_file}", "--bind-address=127.0.0.1", f"--port={self.place.database_port}"]
            return ["setsid", "--fork", *self._mariadbd(), *served, "--skip-grant-tables"]
        kind, _, node = name.partition(".")
        return [kind, "-N", node] if node else [kind]

    def _mariadbd(self) -> list[str]:
        """Private and small, and quick rather than durable."""
        return [
            "mariadbd",
            "--no-defaults",
            f"--datadir={self.place.folder}/mysql",
            f"--socket={self.place.sockets}/my.sock",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0",
            "--innodb-file-per-table=OFF",
            "--sync-frm=OFF",
            "--innodb-lock-wait-timeout=900",
            "--performance-schema=OFF",
            "--skip-name-resolve",
            "--skip-log-bin",
            *(["--user=root"] if os.geteuid() == 0 else []),
        ]

    def _remember(self, name: str, process: Process | None) -> None:
        if process is None:
            raise ClusterError(f"{name} died at once, see {self.place.folder}/log")
        known = {other: asdict(p) for other, p in self.recorded.items()} | {name: asdict(process)}
        part = self._record.with_suffix(".part")
        part.write_text(json.dumps(known))
        part.rename(self._record)

    def _ready(self, name: str) -> bool:
        kind, _, node = name.partition(".")
        if not self.recorded[name].alive:
            raise ClusterError(f"{name} died, see {self.place.folder}/log")
        match kind:
            case "munged":
                return self.place.munge_socket.exists()
            case "mariadbd":
                return listens(self.place.database_port)
            case "slurmdbd":  # it listens only once its tables exist
                return listens(self.place.accounting_port)
            case "slurmctld":
                return self.controller_answers()
            case _:
                return not self.controller_answers() or not self.node_states()[node].endswith("*")


def _pid_in(file: Path) -> Process | None:
    try:
        return processes.find(int(file.read_text()))
    except (FileNotFoundError, ValueError):
        return None
