"""The store: a stage folder with a manifest never changes, and nothing else counts as a result.

ROOT/stages/KEY/     finished: manifest.json (files, sizes, SHA-256), preimage.json, and the stage's files
ROOT/work/KEY/       unfinished: checkpoint, log, progress, failure; attempt-TOKEN/ becomes stages/KEY by a rename
ROOT/claims/KEY      who runs it now (claim.py)
ROOT/sweeps/NAME/    cells, plan, job files, tables, figures, report
ROOT/quarantine/     stage folders that were found damaged
"""

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from w2s_sweep.errors import StoreError
from w2s_sweep.store.files import explain_errors, manifest_of, read_json, sha256_file, sync, write_json
from w2s_sweep.store.records import Records

MANIFEST = "manifest.json"
LONGEST = 64
"""Characters of a key; of longer names file systems have none, and say so with an error."""
LOOKS = 3
"""At a stage that is sound each time it is read again."""


@dataclass(frozen=True)
class Store(Records):
    """A directory of finished stages, shared by every sweep and every machine on one file system."""

    @cached_property
    def stages(self) -> Path:
        return self.root / "stages"

    def path(self, key: str) -> Path:
        """Folder of the finished stage `key` (it may not exist yet)."""
        return self.stages / key

    def work(self, key: str) -> Path:
        """Folder of the unfinished stage `key`."""
        return self.root / "work" / key

    def claim_path(self, key: str) -> Path:
        return self.root / "claims" / key

    def prepare(self) -> None:
        """Create the top folders; StoreError with the reason where that is impossible."""
        self.give_group_rights()
        try:
            with explain_errors(self.root):
                for name in ("stages", "work", "claims", "sweeps"):
                    (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:  # below a file, on a device that is gone
            raise StoreError(
                f"store: {self.root} cannot be a folder ({error.strerror}). Choose a writable folder with store=FOLDER."
            ) from error

    @property
    def shared(self) -> bool:
        """Whether a group shares it (sharing.py): what is in it is of that group, which can write."""
        try:
            mode = self.root.stat().st_mode
        except OSError:
            return False
        return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)

    def give_group_rights(self) -> None:
        """In a store that is shared, let the group have what this process writes, whatever the umask says."""
        if self.shared:
            before = os.umask(0o077)
            os.umask(before & ~0o070)

    def manifest(self, key: str) -> Mapping[str, Mapping[str, Any]] | None:
        """The files of a finished stage; None when it is not finished, or its manifest is damaged or another's."""
        record = read_json(self.path(key) / MANIFEST)
        if record is None or record.get("key") != key or not is_manifest(record.get("files")):
            return None
        return record["files"]

    def size(self, key: str) -> int:
        """Bytes of a finished stage, as its manifest says; 0 where it is not finished."""
        return sum(entry["size"] for entry in (self.manifest(key) or {}).values())

    def is_done(self, key: str) -> bool:
        """Whether the stage is finished and its files have the sizes its manifest says."""
        files = self.manifest(key)
        if files is None:
            return False
        folder = os.fspath(self.path(key))
        try:
            # Sizes, not digests: every plan looks at every stage. Bytes are read where a stage is used (`verify`).
            return all(os.stat(f"{folder}/{name}").st_size == entry["size"] for name, entry in files.items())
        except (OSError, ValueError):  # ValueError: a name with a zero byte
            return False

    def damage(self, key: str, only: str | None = None) -> list[str]:
        """What is wrong with a finished stage, or with one file of it, digests checked; empty when it is sound."""
        files = self.manifest(key)
        if files is None:
            other = (read_json(self.path(key) / MANIFEST) or {}).get("key", key)
            return [f"{MANIFEST} is {f'that of stage {other}' if other != key else 'missing or unreadable'}"]
        chosen = {name: entry for name, entry in files.items() if only in (None, name)}
        return [text for name, entry in chosen.items() if (text := _fault(self.path(key) / name, name, entry))]

    def verify(self, key: str) -> Path:
        """Folder of the finished stage `key`, after every digest was checked."""
        damage = self.damage(key)
        if damage:
            raise StoreError(
                f"stage {key} in {self.path(key)} cannot be used: {'; '.join(damage)}. "
                "Run `w2s verify` (it sets damaged stages aside), then run the sweep again."
            )
        return self.path(key)

    def contents(self, key: str, *names: str) -> dict[str, bytes]:
        """Those of the named files that the finished stage `key` has, after the digest of every file was checked.

        StoreError where the stage is damaged, or no two looks at it agree: no file that it has is left out.
        """
        folder = os.fspath(self.path(key))
        for _ in range(LOOKS):  # another run may replace the stage between two reads, and a network's disk fail once
            files = self.manifest(key) or {}
            found = self._read(key, files, names)
            rest = [name for name in files if name not in found]
            sound = not any(name in names or _fault(f"{folder}/{name}", name, files[name]) for name in rest)
            if files and sound:
                return found
            self.verify(key)  # raises, unless it is sound by now
        raise StoreError(
            f"stage {key} in {self.path(key)} cannot be used: {LOOKS} times what was read is not what its manifest "
            "says, and was sound when it was read again. Does another run replace it, or its disk fail? Try again."
        )

    def _read(self, key: str, files: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, bytes]:
        """Those of the named files that can be read and have their digest."""
        found, folder = dict[str, bytes](), os.fspath(self.path(key))
        for name in files.keys() & {*names}:
            with suppress(OSError), open(f"{folder}/{name}", "rb") as file:  # read once: many stages, many files
                content = file.read()
                if hashlib.sha256(content).hexdigest() == files[name]["sha256"]:
                    found[name] = content
        return found

    def quarantine(self, key: str) -> Path:
        """Set a damaged stage folder aside, so that the next run trains it again."""
        target = self.root / "quarantine" / f"{key}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path(key).rename(target)
        return target

    def preimage(self, key: str) -> dict[str, Any]:
        """What was hashed into `key`."""
        if self.path(key).is_dir() and self.damage(key, "preimage.json"):
            self.verify(key)  # raises
        record = read_json(self.path(key) / "preimage.json") or read_json(self.work(key) / "preimage.json")
        if record is None:
            raise StoreError(
                f"stage {key}: it has not begun, and its preimage is written when it does. `w2s status` shows it."
            )
        return record

    def keys(self) -> list[str]:
        """Keys of the stage folders present, sound or not."""
        return sorted(p.name for p in self.stages.iterdir() if p.is_dir()) if self.stages.is_dir() else []

    def find(self, prefix: str) -> str:
        """The one key that starts with `prefix`, among finished and unfinished stages."""
        word = prefix.isalnum() and len(prefix) <= LONGEST
        if word and any((folder / prefix).is_dir() for folder in (self.stages, self.root / "work")):
            return prefix  # a whole key
        # Names alone are read of all stages: a look at each folder takes seconds where there are 50,000 of them.
        folders = [folder for folder in (self.stages, self.root / "work") if folder.is_dir()]
        hits = sorted({name for folder in folders for name in os.listdir(folder) if name.startswith(prefix)})
        if len(hits) != 1:
            if not hits:
                raise StoreError(
                    f"key {prefix!r}: no stage in {self.root} starts with it. `w2s status SWEEP` shows keys."
                )
            shown = ", ".join(hits[:5])
            raise StoreError(f"key {prefix!r}: {len(hits)} stages start with it ({shown}). Give more digits of one.")
        return hits[0]

    def find_any(self, prefix: str) -> str:
        """The same among all stages, one that never ran included: it has a place in the list of a sweep only."""
        try:
            return self.find(prefix)
        except StoreError:
            named = self.find_named(prefix)
            if len(named) != 1:
                raise
            return named.pop()

    def clear_attempts(self, key: str) -> None:
        """Remove what killed runs left half written; to be called by whoever holds the claim on the stage."""
        work = self.work(key)
        for path in [*work.glob("attempt-*"), *work.glob(".*.part")]:
            _remove(path)

    @contextmanager
    def attempt(self, key: str) -> Generator[Path]:
        """A fresh folder to write a stage's files in; on a clean exit it is published, else it is removed."""
        # Two runs of one stage never write to one folder. It is in the store, since a rename works in one file system.
        folder = self.work(key) / f"attempt-{secrets.token_hex(6)}"
        with explain_errors(folder):
            folder.mkdir(parents=True)
            try:
                yield folder
                self._publish(key, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                if self.path(key).is_dir():
                    with suppress(OSError):
                        folder.parent.rmdir()

    def _publish(self, key: str, folder: Path) -> None:
        files = manifest_of(folder)
        # Some libraries write files that only their owner may read. In a group's store nobody may edit a result.
        mode = folder.stat().st_mode & (0o444 if self.shared else 0o666)
        for inner in (path for path in folder.rglob("*") if path.is_dir()):
            os.chmod(inner, stat.S_IMODE(folder.stat().st_mode))
        for name in files:
            os.chmod(folder / name, mode)
            sync(folder / name)
        # After the files are on disk: a manifest that survives a power failure names nothing that did not.
        write_json(folder / MANIFEST, {"key": key, "files": files})
        os.chmod(folder / MANIFEST, mode)
        sync(folder)
        self.stages.mkdir(parents=True, exist_ok=True)
        try:
            # Onto a folder that is not empty this fails: of two runs the first wins, and its result is as good.
            os.rename(folder, self.path(key))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            if not self.is_done(key):  # what stands there is damaged: ours replaces it
                self.quarantine(key)
                os.rename(folder, self.path(key))
        sync(self.stages)
        self.clear_work(key)

    def clear_work(self, key: str) -> None:
        """Remove the work folder of a finished stage; other attempts at it are left to those who write them."""
        work = self.work(key)
        for path in list(work.iterdir()) if work.is_dir() else []:
            if not path.name.startswith("attempt-"):
                _remove(path)
        with suppress(OSError):
            work.rmdir()


def is_manifest(files: object) -> bool:
    """Whether it names at least one file, each with a size and a digest."""
    if not isinstance(files, dict) or not files:
        return False
    entries: list[Any] = list(files.values())  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
    return all(
        isinstance(entry, dict) and isinstance(entry.get("size"), int) and isinstance(entry.get("sha256"), str)  # pyright: ignore[reportUnknownMemberType]
        for entry in entries
    )


def _fault(path: Path | str, name: str, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with one file of a stage."""
    try:
        size = os.stat(path).st_size
        if size != entry["size"]:
            return f"{name} has {size} bytes, not {entry['size']}"
        return None if sha256_file(path) == entry["sha256"] else f"{name} was changed after it was written"
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
