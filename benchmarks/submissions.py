"""Submissions that are disturbed: sbatch fails or takes fewer jobs, who submits dies, shell or clock are wrong."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.people import Person

REFUSED, KILLED, LIMITED = "sbatch failed", "submitter killed", "submit limit"
SHELL, CLOCK = "SBATCH_* in the shell", "clock an hour off"
SUBMISSION_FAULTS = (REFUSED, KILLED, LIMITED, SHELL, CLOCK)
VARIABLES = {
    "SBATCH_PARTITION": "nowhere",
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_JOB_NAME": "mine",
    "SBATCH_WAIT": "1",
    "SBATCH_REQUEUE": "0",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_ARRAY_INX": "0-3",
    "SBATCH_DEPENDENCY": "singleton",
}
"""What somebody forgot in a shell."""
SBATCH = """\
#!/bin/sh
# The real sbatch, but where a submission is to be disturbed: W2S_CHAOS names a file that says how.
how=$(cat "$W2S_CHAOS" 2> /dev/null)
if [ "$how" = "sbatch failed" ]; then
    echo hit > "$W2S_CHAOS"
    echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)" >&2
    exit 1
fi
if [ "$how" = "submit limit" ]; then
    # As a site does that takes two jobs at a time; what arrays there are has more, so that waves follow.
    case "$*" in *--array=0-[01]%*) ;; *--array=*)
        echo hit > "$W2S_CHAOS.hit"
        echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
        echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)" >&2
        exit 1 ;;
    esac
fi
{sbatch} "$@"
status=$?
if [ "$how" = "submitter killed" ]; then
    echo hit > "$W2S_CHAOS"
    kill -9 $PPID
fi
exit $status
"""
CLOCK_OFF = """\
# Python runs this first, wherever this folder is in its path: the submitter and its jobs, whose clocks are wrong.
import os
import time

_off, _time = float(os.environ.get("W2S_CHAOS_CLOCK", "0")), time.time
time.time = lambda: _time() + _off
"""


def install(folder: Path, sbatch: str) -> None:
    """`folder/bin` to put first in PATH, with an sbatch that can fail, or kill who called it before it answers; and
    `folder/clock` for PYTHONPATH."""
    (folder / "switches").mkdir()
    (folder / "switches").chmod(0o1777)
    for name, file, text in (
        ("bin", "sbatch", SBATCH.replace("{sbatch}", sbatch)),
        ("clock", "sitecustomize.py", CLOCK_OFF),
    ):
        (folder / name).mkdir()
        (folder / name / file).write_text(text)
        (folder / name / file).chmod(0o755)


class Submission:
    """`launch.py` or `w2s retry` as a process of somebody, perhaps disturbed."""

    def __init__(self, sweep: str, words: Sequence[str], person: Person, fault: str | None, hours: float, beside: bool):
        """`hours`: by which the clock is wrong, where that is the fault; `beside`: whether others have tasks in some
        queue."""
        self.sweep = sweep
        self.beside = beside
        self.switch = Path(tempfile.mkstemp(dir=person.folder / "switches")[1])
        self.switch.write_text(fault or "")
        self.switch.chmod(0o666)
        self.fault = fault
        self.log = self.switch.with_suffix(".log")
        env = person.env()
        env |= {"W2S_CHAOS": str(self.switch), "PATH": f"{person.folder / 'bin'}:{env['PATH']}"}
        env |= _disturbed(fault, person.folder, hours)
        with self.log.open("wb") as log:
            self.process = person.start(words, env, stdout=log, stderr=log)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def good(self) -> bool:
        return self.process.returncode == 0

    def hit(self) -> str | None:
        """The fault that this submission suffered, once it has ended."""
        if self.fault in (SHELL, CLOCK):  # it has submitted all the same
            return self.fault if self.good and b"submitted in" in self.log.read_bytes() else None
        marked = self.switch.with_name(f"{self.switch.name}.hit").exists()
        return self.fault if self.fault and (marked or self.switch.read_text().strip() == "hit") else None


def _disturbed(fault: str | None, folder: Path, hours: float) -> Mapping[str, str]:
    if fault == SHELL:
        return VARIABLES
    if fault != CLOCK:
        return {}
    path = os.pathsep.join(filter(None, (str(folder / "clock"), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "W2S_CHAOS_CLOCK": str(3600 * hours)}
