"""The code that jobs run: a copy made at submission, once per content; editing the checkout changes no queued job.

A copy belongs to one user and nobody else can write it: who can write the code of a job can run anything as its owner.
"""

import getpass
import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from w2s_sweep.store import Store
from w2s_sweep.store.files import explain_errors, write_json, write_text

PACKAGE = Path(__file__).resolve().parents[2]


def take_snapshot(store: Store, sweep: Path, package: Path = PACKAGE) -> Path:
    """A folder of the store that holds the package as it is now; commit and difference go into the sweep's folder."""
    files = sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes() + b"\0")
    own = store.root / "code" / getpass.getuser()
    folder = own / whole.hexdigest()[:20]
    with explain_errors(own):
        own.mkdir(parents=True, exist_ok=True)
        os.chmod(own, 0o700)
        if not folder.is_dir():
            _copy(files, package, folder)
    commit, difference = _git(package, "rev-parse", "HEAD"), _git(package, "diff", "HEAD", "--", ".")
    write_json(sweep / "code.json", {"snapshot": str(folder), "commit": commit.strip(), "modified": bool(difference)})
    write_text(sweep / "code.diff", difference)
    return folder


def _copy(files: list[Path], package: Path, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    for file in files:
        target = part / package.name / file.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    try:
        part.rename(folder)
    except OSError:  # another submission of the same code was faster
        shutil.rmtree(part, ignore_errors=True)


def _git(package: Path, *arguments: str) -> str:
    """Output of git where the package is under its control; an installed copy inside somebody's repository is not."""
    if shutil.which("git") is None:
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(package), *words], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    return git(*arguments) if git("ls-files", "__init__.py") else ""
