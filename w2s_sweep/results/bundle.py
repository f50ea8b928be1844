"""A sweep as one folder or zip file: report, tables, figures, record and, on wish, predictions.

Links inside lead inside, and nothing names a folder of the machine that made it.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import ROLES
from w2s_sweep.predictions import CURVE, FILE, TEXTS
from w2s_sweep.results.collect import collect, names_of_tests
from w2s_sweep.results.collected import Results
from w2s_sweep.results.relocate import hide_in
from w2s_sweep.results.report import Page, write_page
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

STAGES = "stages"
PLAIN = (FILE, CURVE, TEXTS, "metrics.jsonl")
"""Files of a stage that are copied as they are."""
ABOUT = ("summary.json", "preimage.json")
"""Files of a stage that may name folders."""
README = """\
# {name}

A weak-to-strong sweep made with w2s_sweep. Open report.html in a browser; it needs no network.

- table.csv, table.parquet: a row per cell. groups.*, comparisons.*, curves.*: settings over seeds, paired comparisons,
  curves over training. usage.*: time and memory
- figures/: each as PNG, SVG and PDF, and its numbers as CSV; captions.md has titles and notes
- sweep.json: command, code version, settings of every cell, keys of its stages
{more}STORE and ~ stand for folders of the machine that ran it.
"""
PREDICTIONS = """\
- stages/KEY/predictions.parquet: what a stage predicts for each example; preimage.json: what determined it
"""


@dataclass(frozen=True)
class Size:
    """What was written."""

    files: int
    bytes: int


def write_bundle(store: Store, sweep: str, out: Path, *, predictions: bool = False) -> Size:
    """Write the sweep to `out`, a zip file where its name ends so, else a folder. StoreError where it is not empty."""
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise StoreError(f"--out: {out} is there already. Name another one, or delete it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as made:
        folder = Path(made) / (out.stem if out.suffix == ".zip" else out.name)
        _fill(store, sweep, folder, predictions)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        size = Size(len(files), sum(path.stat().st_size for path in files))
        if out.suffix == ".zip":
            _zip(files, folder.parent, Path(made) / out.name)
            (Path(made) / out.name).replace(out)
        else:
            if out.is_dir():
                out.rmdir()
            folder.replace(out)
    return size


def _fill(store: Store, sweep: str, folder: Path, predictions: bool) -> None:
    results = collect(store, sweep)
    write_page(store, results, Page(folder, STAGES if predictions else None))
    keys = set(_keys(results))
    for test in names_of_tests(results.record):
        shown = collect(store, sweep, test=test)
        write_page(store, shown, Page(folder / "tests" / test, f"../../{STAGES}" if predictions else None))
        keys |= set(_keys(shown))
    write_json(folder / "sweep.json", hide_in(store, results.record))
    (folder / "README.md").write_text(README.format(name=sweep, more=PREDICTIONS if predictions else ""))
    for key in sorted(keys) if predictions else ():
        _copy_stage(store, key, folder / STAGES / key)


def _keys(results: Results) -> Iterator[str]:
    """The stages that numbers are computed of."""
    yield from (key for row in results.rows for role in ROLES if (key := getattr(row, f"{role}_key")))


def _copy_stage(store: Store, key: str, folder: Path) -> None:
    """What a stage predicts and what determined it; of one that is not finished a word, as links lead there."""
    folder.mkdir(parents=True)
    if not store.is_done(key):
        (folder / "not_finished.txt").write_text("This stage was not finished when the sweep was exported.\n")
        return
    for name in PLAIN:
        if (store.path(key) / name).is_file():
            shutil.copyfile(store.path(key) / name, folder / name)
    for name in ABOUT:
        if (record := read_json(store.path(key) / name)) is not None:
            write_json(folder / name, hide_in(store, record))


def _zip(files: list[Path], base: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(base))
