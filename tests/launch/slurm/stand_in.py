"""Programs on PATH with the names of SLURM's, which ask the stand-in for its controller; and a test's hand on that.

They are shell scripts, since a test starts dozens of them, and talk to a thread of the test's process as SLURM's own
talk to slurmctld.
"""

import getpass
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.launch.slurm.controller import ENDED, GONE, Call, Controller, Fault, Task
from tests.launch.slurm.programs import answer

CLIENT = """\
#!/bin/bash
input=
[ $# -gt 0 ] || IFS= read -r -d '' input
exec 3<> /dev/tcp/127.0.0.1/{port} || exit 1
{{ printf '%s\\0' {program} "$#" "$@" "$input"; compgen -e; printf '\\0'; }} >&3
IFS= read -r -d '' out <&3; IFS= read -r -d '' err <&3; read -r status <&3
printf %s "$out"; printf %s "$err" >&2
exit "$status"
"""
SRUN = """\
#!/bin/bash
while [[ $1 == -* ]]; do case $1 in --output|--error) shift 2 ;; *) shift ;; esac; done
exec "$@"
"""


class _Server(socketserver.TCPServer):
    """One command at a time."""

    controller: Controller


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        program, count = self._word(), int(self._word())
        arguments = [self._word() for _ in range(count)]
        stdin, variables = self._word(), frozenset(self._word().split())
        assert isinstance(self.server, _Server)
        status, out, err = answer(self.server.controller, Call(program, arguments, stdin, variables))
        self.wfile.write(f"{out}\0{err}\0{status}\n".encode())

    def _word(self) -> str:
        found = bytearray()
        while (byte := self.rfile.read(1)) not in (b"\0", b""):
            found += byte
        return found.decode()


class StandIn:
    """A cluster for one test: full, until the test starts what may start."""

    def __init__(self, folder: Path):
        self.bin = folder
        self.controller = Controller(getpass.getuser())

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        with _Server(("127.0.0.1", 0), _Handler) as server:
            server.controller = self.controller
            self.bin.mkdir(parents=True)
            for program in ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sacctmgr"):
                self.install(program, CLIENT.format(port=server.server_address[1], program=program))
            self.install("srun", SRUN)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield self
            server.shutdown()
            thread.join()

    def install(self, program: str, script: str) -> None:
        path = self.bin / program
        path.write_text(script)
        path.chmod(0o755)

    def fail(self, words: str, error: str = GONE, times: int = 1, after: int = 0) -> None:
        """Let commands fail that hold `words`, in their name, arguments or standard input."""
        self.controller.faults.append(Fault(words, error, times, after))

    def go_away(self) -> None:
        """No command is answered until `come_back`."""
        self.fail("", times=1_000_000)

    def come_back(self) -> None:
        self.controller.faults.clear()

    def put(self, count: int = 1, **fields: Any) -> list[Task]:
        """An array of tasks that was submitted by whoever, or one job without tasks."""
        plain: dict[str, Any] = {"name": "w2s-0-0", "user": self.controller.me, "minutes": 30, "memory_mb": 1024}
        plain |= {
            "gpus": 0,
            "throttle": count,
            "kill": True,
            "requeue": True,
            "dependency": "",
            "begin": None,
            "held": "",
        }
        for index in range(count):
            self.controller.add(Task(self.controller.next, index if count > 1 else None, **plain | fields))
        self.controller.next += 1
        return self.controller.tasks[-count:]

    def task(self, job: str) -> Task:
        (found,) = self.controller.named(job)
        return found

    @property
    def queue(self) -> dict[str, str]:
        """Job -> state, or the reason why it is pending, of the tasks that have not ended."""
        left = [task for task in self.controller.tasks if task.state not in ENDED]
        return {t.job: self.controller.reason(t) if t.state == "PENDING" else t.state for t in left}

    def calls(self, program: str) -> list[Call]:
        return [call for call in self.controller.calls if call.program == program]

    def start(self, job: str) -> None:
        task = self.task(job)
        assert self.controller.reason(task) == "Resources", f"{job}: {self.controller.reason(task)}"
        self.controller.start(task)

    def end(self, job: str, state: str = "COMPLETED", exit: str = "0:0") -> None:
        """A task leaves the queue; what can never run after that is cancelled."""
        task = self.task(job)
        task.state, task.exit = state, exit
        self.controller.schedule()
