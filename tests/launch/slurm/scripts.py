"""Submission scripts without what differs from run to run, to be compared with those in golden/."""

import re
import shlex
import sys
from pathlib import Path

from w2s_sweep.store import Store

GOLDEN = Path(__file__).parent / "golden"


def submitted(store: Store) -> dict[str, str]:
    """Job -> script that sbatch was given for it, of all sweeps of a store."""
    paths = sorted(store.root.glob("sweeps/*/jobs/submitit/*_submission.sh"))
    return {path.name.removesuffix("_submission.sh"): normal(path.read_text(), store) for path in paths}


def normal(script: str, store: Store) -> str:
    """A script with names for folders, Python, the user, the code's digest and the submission's token."""
    script = re.sub(r"(code/)[^/]+/[0-9a-f]{20}", r"\1USER/DIGEST", script.replace(str(store.root), "STORE"))
    script = script.replace(shlex.quote(sys.executable), "PYTHON")
    return re.sub(r"w2s-[0-9a-f]{8}-", "w2s-TOKEN-", script)


def compare(script: str, name: str) -> None:
    """Fails with the difference where a script is not golden/NAME.sh."""
    path = GOLDEN / f"{name}.sh"
    assert script.rstrip() == path.read_text().rstrip(), f"if the new script is right, it belongs into {path}"
