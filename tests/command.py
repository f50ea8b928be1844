"""Runs the command line in this process, as a user would type it."""

import contextlib
import io
import json
import sys
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from w2s_sweep.launch.main import main


def launch(*argv: str) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `launch.py ARGV`."""
    GlobalHydra.instance().clear()
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["launch.py", *argv]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue()


def sweep_record(store: Path) -> dict:
    """The record of the newest sweep in a store."""
    paths = sorted((store / "sweeps").glob("*/sweep.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(paths[-1].read_text())


def trained(store: Path) -> dict[str, bytes]:
    """Key -> predictions of every trained stage of a store."""
    return {p.parent.name: p.read_bytes() for p in (store / "stages").glob("*/predictions.parquet")}


def own_folder(tmp_path: Path, text: str) -> list[str]:
    """What names a folder of configuration of somebody's own, with the experiment `mine`."""
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(text)
    return ["--config-dir", str(tmp_path / "own")]
