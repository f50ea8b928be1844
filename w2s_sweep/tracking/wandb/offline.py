"""Runs written to disk for `wandb sync`, from a machine without a login. None of a run that went online before."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.base import Sent
from w2s_sweep.tracking.wandb.content import RunContent
from w2s_sweep.tracking.wandb.runs import write_run
from w2s_sweep.tracking.wandb.session import Session


def folders(session: Session, name: str) -> list[Path]:
    """What was written of a run."""
    return sorted(session.files.glob(f"offline-run-*-{name}"))


def is_synced(folder: Path) -> bool:
    """Whether `wandb sync` has sent it."""
    return any(folder.glob("*.synced"))


def discard(session: Session, name: str) -> None:
    """Remove what was written of a run; our own files have all of it."""
    for folder in folders(session, name):
        shutil.rmtree(folder, ignore_errors=True)


def write_offline(session: Session, contents: Sequence[RunContent], online: Collection[str]) -> Sent:
    """Write every run that was written in no equal form before; one that is out of date is written anew.

    `online`: ids of runs that a server has, of which `wandb sync` would double the curves.
    """
    record = session.folder / "wandb" / "offline.json"
    known, written, left = read_json(record) or {}, 0, 0
    for content in contents:
        there = folders(session, content.name)
        if content.name in online or any(is_synced(folder) for folder in there):
            left += known.get(content.name) != content.stamp
            continue
        if there and known.get(content.name) == content.stamp:
            continue
        discard(session, content.name)
        write_run(session, content)
        written += 1
        known[content.name] = content.stamp
        write_json(record, known)
    lines = [f"W&B offline: {written} runs written now, {len(contents) - written - left} before"]
    waiting = [folder for content in contents for folder in folders(session, content.name) if not is_synced(folder)]
    if waiting:
        lines.append(f"to upload them: wandb sync {session.files}/offline-run-*  (or log in, and `w2s push`)")
    if left:
        lines.append(f"W&B: {left} runs went to a server before; log in, and `w2s push {session.sweep}` sends the rest")
    return Sent(lines)
