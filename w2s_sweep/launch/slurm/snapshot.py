"""The code that jobs run: a copy made at submission, once per content; editing the checkout, or a module of one's own,
changes no queued job.

A copy belongs to one user and nobody else can write it: who can write the code of a job can run anything as its owner.
"""

import getpass
import hashlib
import importlib.util
import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from w2s_sweep.launch.code import git
from w2s_sweep.modules import is_file, is_installed
from w2s_sweep.store import Store
from w2s_sweep.store.files import explain_errors, write_json, write_text
from w2s_sweep.store.sharing import refuse_unsafe

PACKAGE = Path(__file__).resolve().parents[2]
SOURCE = {".py", ".sh", ".j2", ".css", ".js", ".json", ".yaml", ".toml", ".txt", ".csv"}
"""Endings of the files that travel."""
LOOKS = 3
"""So often is the code looked at anew where a file was listed and is gone."""


def take_snapshot(
    store: Store, sweep: Path, modules: Sequence[str] = (), package: Path = PACKAGE
) -> tuple[Path, tuple[str, ...]]:
    """A folder of the store that holds the package and `modules` as they are now, and the modules as jobs name them.

    Commit, difference and copies go into the sweep's folder. A module that Python finds by its name is found here
    first; one of an installed package stays where it is.
    """
    for _ in range(LOOKS - 1):
        # A file may vanish between a look at its folder and its copy, such as one that an editor writes first.
        with suppress(FileNotFoundError):
            return _take(store, sweep, modules, package)
    return _take(store, sweep, modules, package)


def _take(store: Store, sweep: Path, modules: Sequence[str], package: Path) -> tuple[Path, tuple[str, ...]]:
    files = _files(package, package.name)
    copies: dict[str, str] = {}
    for number, module in enumerate(modules):
        if is_file(module):
            copies[module] = f"modules/{number}/{Path(module).name}"
            files[copies[module]] = Path(module)
        else:
            files |= _importable(module)
    own = store.root / "code" / getpass.getuser()
    folder = own / _digest(files)
    with explain_errors(own):
        if not own.parent.is_dir():
            own.parent.mkdir()
            if store.shared:
                own.parent.chmod(0o3775)
        own.mkdir(exist_ok=True)
        os.chmod(own, 0o700)
        refuse_unsafe(store, own)
        if not folder.is_dir():
            _copy(files, folder)
    commit, difference = _commit_and_difference(package)
    there = {module: str(folder / copy) for module, copy in copies.items()}
    record = {"snapshot": str(folder), "commit": commit, "modified": bool(difference), "modules": there}
    write_json(sweep / "code.json", record)
    write_text(sweep / "code.diff", difference)
    return folder, tuple(there.get(module, module) for module in modules)


Files = dict[str, Path]
"""Path inside the snapshot -> file that is copied there."""


def _files(folder: Path, name: str) -> Files:
    """Source and templates of a package: what lies beside them, hidden (.env) or as a link, stays where it is."""
    found: Files = {}
    for parent, folders, files in os.walk(folder):  # follows no link to a folder
        folders[:] = [one for one in folders if not one.startswith(".") and one != "__pycache__"]
        inside = Path(name, Path(parent).relative_to(folder)).as_posix()
        for path in (Path(parent, one) for one in files if not one.startswith(".")):
            if path.suffix in SOURCE and stat.S_ISREG(path.lstat().st_mode):
                found[f"{inside}/{path.name}"] = path
    return found


def _importable(module: str) -> Files:
    """The module or package that holds the module of this name, unless it is installed."""
    name = module.partition(".")[0]
    spec = importlib.util.find_spec(name)
    if spec is None:
        return {}
    folders = [Path(one) for one in spec.submodule_search_locations or () if not is_installed(Path(one))]
    if folders:
        return {path: file for folder in folders for path, file in _files(folder, name).items()}
    file = Path(spec.origin) if spec.origin else None
    return {file.name: file} if file and file.is_file() and not is_installed(file) else {}


def _digest(files: Files) -> str:
    whole = hashlib.sha256()
    for path, file in sorted(files.items()):
        whole.update(path.encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()[:20]


def _copy(files: Files, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for path, file in files.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        with suppress(OSError):  # another submission of the same code was faster
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _commit_and_difference(package: Path) -> tuple[str, str]:
    """What git says where the package is under its control; an installed copy inside somebody's repository is not."""
    if not git(package, "ls-files", "__init__.py"):
        return "", ""
    return (git(package, "rev-parse", "HEAD") or "").strip(), git(package, "diff", "HEAD", "--", ".") or ""
