"""Which code a sweep was started with. It is written down beside the results and never hashed into a key."""

import subprocess
from pathlib import Path
from typing import Any

from w2s_sweep.version import __version__

ROOT = Path(__file__).resolve().parents[2]


def code_identity() -> dict[str, Any]:
    """Version; and where the package runs from a git checkout of its own, the commit and whether files were changed."""
    commit = git(ROOT, "rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    changed = None if commit is None else bool(git(ROOT, "status", "--porcelain", "--untracked-files=no"))
    return {"version": __version__, "commit": commit and commit.strip(), "changed": changed}


def git(folder: Path, *arguments: str) -> str | None:
    """What git prints in a folder; None where it fails, is not installed or takes too long."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
