"""Figures on disk: those of the same results, by the same code and for the same look, are there already."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic_core import to_json

from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.metrics import METRICS
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.look import Look
from w2s_sweep.store.files import read_json, write_bytes, write_json

RECORD = "drawn.json"
"""What the figures of a folder were drawn of, and the digests of their files."""
CAPTIONS = "captions.md"
"""The title and note of every figure, beside them: a paper has them in its captions."""
ROOT = Path(__file__).parents[2]
FILES = ("png", "svg", "pdf", "csv")
LIBRARIES = ("matplotlib", "numpy", "scipy")
"""What draws, and computes what is drawn."""
DESCRIBED = ("name", "label", "axis", "bounds")
"""What figures show of a metric, which may be one of a user's own modules."""


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk."""

    name: str
    caption: str
    title: str
    """What stands above it, or would."""
    note: str
    """What a reader must know: n, seeds, what intervals are over."""
    png: Path
    svg: Path
    pdf: Path
    csv: Path
    """The numbers that it shows."""
    digests: Mapping[str, str]
    """Ending -> SHA-256 of what was written. Of the bytes, not of the file: another process may write it anew."""

    @property
    def paths(self) -> Mapping[str, Path]:
        """Ending -> file."""
        return {ending: getattr(self, ending) for ending in FILES}


def fingerprint(results: Results, look: Look) -> str:
    """What figures depend on: all numbers, what their metric is called, the look, and the code that draws. The record
    of the sweep and what its work took are in none."""
    parts = {name: value for name, value in vars(results).items() if name in FIELDS}
    metrics = [_describe(name) for name in sorted({row.metric for row in results.rows})]
    whole = [parts, metrics, asdict(look), CODE]
    return _sha256(to_json(whole, inf_nan_mode="constants", fallback=_as_json))


def _describe(metric: str) -> dict[str, Any]:
    return {name: getattr(METRICS[metric], name) for name in DESCRIBED}


FIELDS = frozenset(Results.__dataclass_fields__) - {"record", "usage"}


def _as_json(value: Any) -> Any:
    """What JSON has no form for; of something unknown its text, which at worst is never the same and has it drawn."""
    if isinstance(value, np.ndarray | np.generic):
        return cast(Any, value).tolist()
    return repr(value)


def digest_code() -> str:
    """Digest of the package and of the versions of what it draws with. Drawing takes seconds, reading 400 files some
    hundredths."""
    found = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in LIBRARIES).encode())
    for path in sorted(ROOT.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


CODE = digest_code()
"""Of the files as they are when this is imported: what runs is what was read, though a file is edited later."""


def write_figure(folder: Path, about: Mapping[str, str], files: Mapping[str, bytes]) -> SavedFigure:
    """Write the files (ending -> content) of a figure. `about`: its name, caption, title and note."""
    for ending, content in files.items():
        write_bytes(folder / f"{about['name']}.{ending}", content)
    return _figure(folder, about, {ending: _sha256(content) for ending, content in files.items()})


def keep(folder: Path, drawn_of: str, figures: Sequence[SavedFigure]) -> None:
    """Write the captions of these figures, and down what they were drawn of."""
    captions = "".join(f"## {f.name}\n\n{f.title}. {f.note}.\n\n" for f in figures).encode()
    write_bytes(folder / CAPTIONS, captions)
    said = [
        {"name": f.name, "caption": f.caption, "title": f.title, "note": f.note, "files": f.digests} for f in figures
    ]
    write_json(folder / RECORD, {"drawn of": drawn_of, "captions": _sha256(captions), "figures": said})


def has_kept(folder: Path) -> bool:
    """Whether it is written in a folder what its figures were drawn of."""
    return (folder / RECORD).is_file()


def find_kept(folder: Path, drawn_of: str) -> list[SavedFigure] | None:
    """The figures of a folder; None where they are of something else, or a file is not as it was written."""
    record = read_json(folder / RECORD)
    if not is_mapping(record) or record.get("drawn of") != drawn_of or not is_list(said := record.get("figures")):
        return None
    found = [_figure(folder, one, one["files"]) for one in said]
    files = {path: f.digests[ending] for f in found for ending, path in f.paths.items()}
    files[folder / CAPTIONS] = record.get("captions", "")
    return found if all(_digest_of(path) == digest for path, digest in files.items()) else None


def _figure(folder: Path, about: Mapping[str, str], digests: Mapping[str, str]) -> SavedFigure:
    paths = {ending: folder / f"{about['name']}.{ending}" for ending in FILES}
    return SavedFigure(about["name"], about["caption"], about["title"], about["note"], **paths, digests=digests)


def _digest_of(path: Path) -> str | None:
    try:
        return _sha256(path.read_bytes())
    except OSError:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
