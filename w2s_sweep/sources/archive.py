"""One member out of an archive, without unpacking the rest. Nothing is ever written outside the target folder."""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from w2s_sweep.errors import SourceError, nearest_first


def extract(archive: Path, member: str, into: Path) -> Path:
    """Write `member` of `archive` into the folder `into` and return the file or folder written.

    `member` is a path inside the archive, of a file or of a folder (its structure is kept); each `!` descends into a
    nested archive: `a/b.tar.gz!c.txt`. Raises SourceError.
    """
    outer, nested, rest = member.partition("!")
    if not nested:
        return _extract_one(archive, outer, into)
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        return extract(_extract_one(archive, outer, Path(folder)), rest, into)


def _extract_one(archive: Path, member: str, into: Path) -> Path:
    wanted = _safe(member)
    target = into / wanted.name
    with _open(archive) as opened:
        found = False
        for name in opened.names():
            inner = PurePosixPath(name)
            if inner != wanted and wanted not in inner.parents:
                continue
            path = target / _safe(str(inner.relative_to(wanted))) if inner != wanted else target
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(name) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            found = True
        if not found:
            raise SourceError(_not_there(archive, member, opened.names()))
    return target


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name:
        raise SourceError(f"source.member: the path {name!r} would leave the archive's folder, and is refused.")
    return path


def _not_there(archive: Path, member: str, names: list[str]) -> str:
    shown = nearest_first(member, names)[:8]
    return (
        f"source.member: no {member!r} in {archive.name}. Allowed: a path inside the archive, of a file or of a "
        f"folder, such as {', '.join(shown) or 'nothing (it is empty)'}."
    )


class _Zip:
    def __init__(self, archive: zipfile.ZipFile):
        self.archive = archive

    def names(self) -> list[str]:
        return [info.filename for info in self.archive.infolist() if not info.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        return self.archive.open(name)


class _Tar:
    def __init__(self, archive: tarfile.TarFile):
        self.archive = archive

    def names(self) -> list[str]:
        """Regular files only: links and devices are left out, so no link can point elsewhere."""
        return [info.name for info in self.archive if info.isreg()]

    def open(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], self.archive.extractfile(name))


@contextmanager
def _open(archive: Path) -> Generator[_Zip | _Tar]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _Zip(opened)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened:
            yield _Tar(opened)
    else:
        raise SourceError(
            f"source.member: {archive.name} is neither a zip nor a tar archive, `!` cannot descend into it."
        )
