"""One small job that says whether jobs of this site would work: before thousands of them are queued.

It is submitted as tasks are, with the same options, set-up lines, Python and copy of the code; on its node it looks at
what a stage needs, and writes what it found into the store.
"""

import getpass
import importlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from w2s_sweep.errors import W2SError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.options import adopt_environment, placement, rewrite, words_of
from w2s_sweep.launch.slurm.script import script_of
from w2s_sweep.launch.slurm.settings import Settings, read_settings
from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json, write_text

Finding = tuple[str, bool, str]
"""What was looked at, whether it is well, and what was found or what to do."""
MINUTES, MEMORY_GB = 10, 4
LOOK_SECONDS = 3.0


def probe(store: Store, settings: Settings, seconds: float = 600.0) -> list[Finding]:
    """Submit the job and wait for what it says, for so long at most; the job is cancelled where it says nothing."""
    store.prepare()
    folder = store.root / "code" / getpass.getuser() / "probe"
    try:
        code, _ = take_snapshot(store, folder)
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        write_text(folder / "probe.sh", script(store, settings, code, folder))
        job = commands.run(["sbatch", *words_of((folder / "probe.sh").read_text()), str(folder / "probe.sh")]).split()[
            -1
        ]
    except W2SError as error:
        from w2s_sweep.launch.slurm.refused import explain_refusal  # more than the job on its node needs

        asked = dict(placement(adopt_environment(settings)[0]))
        return [("job", False, explain_refusal(str(error), asked.get("partition")))]
    try:
        return [("job", True, f"{job} was taken by sbatch"), *_wait(job, report, seconds)]
    finally:
        if read_json(report) is None:
            commands.cancel([job])


def _wait(job: str, report: Path, seconds: float) -> Iterator[Finding]:
    deadline, gone = time.monotonic() + seconds, False
    while (found := read_json(report)) is None:
        task = commands.queue().get(job)
        if task is None and gone:  # seen twice: its report may reach this machine a little later
            yield "job", False, f"{_last_words(report)} Is {report.parent} on the file system of the nodes?"
            return
        gone = task is None
        if time.monotonic() > deadline:
            why = task.reason if task is not None else "it has ended"
            advice = (task.stuck if task is not None else "") or "try again later, or name another partition"
            yield "job", False, f"it did not run in {seconds:.0f} s ({why}): {advice}"
            return
        time.sleep(LOOK_SECONDS)
    yield from ((str(name), bool(ok), str(text)) for name, ok, text in found["found"])


def _last_words(report: Path) -> str:
    log = report.with_name("log.txt")
    lines = log.read_text(errors="replace").splitlines()[-8:] if log.is_file() else []
    return "\n".join(["it ended without a report.", *lines])


def script(store: Store, settings: Settings, code: Path, folder: Path) -> str:
    """What sbatch gets."""
    here, _ = adopt_environment(settings)
    gpus = 0 if settings.gpus == 0 else 1
    plain: dict[str, object] = {
        "job-name": "w2s-probe",
        "time": MINUTES,
        "mem": f"{MEMORY_GB}GB",
        "cpus-per-task": 1,
        "nodes": 1,
        "output": folder / "log.txt",
        **({"gpus-per-node": gpus} if gpus else {}),
    }
    values = {"gpus": gpus, "cpus": 1, "memory_gb": MEMORY_GB, "minutes": MINUTES}
    words = ["-m", "w2s_sweep.launch.slurm.probe", str(store.root), str(folder / "report.json"), str(gpus)]
    text = script_of(settings, code, plain, words)
    return rewrite(text, placement(here), values)


def look(store: Store, gpus: int) -> Iterator[Finding]:
    """On the node: what a stage needs, and whether it is there."""
    yield "node", True, f"Python {platform.python_version()} on {socket.gethostname()}"
    yield _package()
    yield _torch(gpus)
    yield _writable(store)


def _package() -> Finding:
    try:
        importlib.import_module("w2s_sweep.runner.worker")
        importlib.import_module("transformers")
    except Exception as error:  # whatever an import can raise: it is the answer
        return "imports", False, f"{type(error).__name__}: {error}. hydra.launcher.setup activates its environment."
    return "imports", True, "w2s_sweep and its packages can be imported"


def _torch(gpus: int) -> Finding:
    try:
        from w2s_sweep.models.device import pick_device

        os.environ["W2S_GPUS"] = str(gpus)
        return "device", True, str(pick_device())
    except Exception as error:  # a driver that does not fit, a build for other cards: it is the answer
        return "device", False, f"{error}"


def _writable(store: Store) -> Finding:
    path = store.root / "claims" / f"probe-{os.getpid()}"
    try:
        path.write_text("")
        path.unlink()
    except OSError as error:
        me = f"{getpass.getuser()} (groups {', '.join(map(str, sorted({os.getgid(), *os.getgroups()})))})"
        why = f"{socket.gethostname()} cannot write to {path.parent} as {me}: {error.strerror}"
        return "store", False, f"{why}. Nodes must have the store, your user and its groups as this machine has them."
    return "store", True, f"{store.root} can be written"


def site_settings(words: Sequence[str] = ()) -> Settings:
    """Settings of the launcher as a command with `hydra/launcher=slurm WORDS` would have them."""
    from omegaconf import OmegaConf

    from w2s_sweep.launch.one import compose_one

    with compose_one(["hydra/launcher=slurm", *words], with_hydra=True) as whole:
        plain: Any = OmegaConf.to_container(whole.hydra.launcher)
    return read_settings({k: v for k, v in plain.items() if k in Settings.__dataclass_fields__})  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownVariableType]


def main(store: str, report: str, gpus: str) -> None:
    """In the job."""
    found = list(look(Store(Path(store)), int(gpus)))
    print(json.dumps(found))
    write_json(Path(report), {"found": found})


if __name__ == "__main__":
    main(*sys.argv[1:])
