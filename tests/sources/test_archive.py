"""What is taken out of an archive stays inside its folder, and what is published is whole."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.sources.archives import make_wheel, tar
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.archive import extract
from w2s_sweep.sources.cache import publishing


def test_publishing_lets_the_first_win_and_drops_what_failed(tmp_path: Path) -> None:
    final = tmp_path / "shelf" / "thing"
    with publishing(final) as first:
        with publishing(final) as second:
            (second / "who").write_text("second")
        (first / "who").write_text("first")
    assert (final / "who").read_text() == "second"
    with pytest.raises(KeyError), publishing(tmp_path / "shelf" / "other"):
        raise KeyError
    assert [p.name for p in (tmp_path / "shelf").iterdir()] == ["thing"]


@pytest.mark.parametrize("member", ["../evil", "/etc/passwd", "a/../../evil", "a\\..\\evil", ""])
def test_members_outside_the_archive_are_refused(tmp_path: Path, member: str) -> None:
    make_wheel(tmp_path)
    with pytest.raises(SourceError, match="refused"):
        extract(tmp_path / "demo-1.0-py3-none-any.whl", member, tmp_path)


def test_entries_that_climb_out_of_a_folder_are_refused_and_links_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("f/ok", tarfile.REGTYPE), ("f/link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO())
    (tmp_path / "links.tar").write_bytes(buffer.getvalue())
    into = tmp_path / "into"
    into.mkdir()
    assert [p.name for p in extract(tmp_path / "links.tar", "f", into).iterdir()] == ["ok"]
    (tmp_path / "evil.tgz").write_bytes(tar(**{"g/../../evil": b"x", "g/ok": b"x"}))
    with pytest.raises(SourceError, match="refused"):
        extract(tmp_path / "evil.tgz", "g", into)
    assert not (tmp_path / "evil").exists()
    (tmp_path / "plain.txt").write_text("x")
    with pytest.raises(SourceError, match="neither a zip nor a tar"):
        extract(tmp_path / "plain.txt", "x", into)
