"""Figures on disk: those of the same results, by the same code and for the same look, are there already."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic_core import to_json

from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.look import Look
from w2s_sweep.store.files import read_json, write_json

RECORD = "drawn.json"
"""What the figures of a folder were drawn of, and the digests of their files."""
ROOT = Path(__file__).parents[2]
FILES = ("png", "svg", "pdf", "csv")


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

    @property
    def paths(self) -> Mapping[str, Path]:
        """Ending -> file."""
        return {ending: getattr(self, ending) for ending in FILES}


def fingerprint(results: Results, look: Look) -> str:
    """What figures depend on: all numbers, the look, and the code that draws. The record of the sweep is in none."""
    parts = {name: value for name, value in vars(results).items() if name in FIELDS}
    found = hashlib.sha256(to_json([parts, asdict(look)], inf_nan_mode="constants", fallback=_as_json))
    found.update(_code().encode())
    return found.hexdigest()


FIELDS = frozenset(Results.__dataclass_fields__) - {"record"}


def _as_json(value: Any) -> Any:
    """What JSON has no form for; of something unknown its text, which at worst is never the same and has it drawn."""
    if isinstance(value, np.ndarray | np.generic):
        return cast(Any, value).tolist()
    return repr(value)


@cache
def _code() -> str:
    """Digest of the package, and matplotlib's version. Drawing takes seconds, reading 400 files some hundredths."""
    found = hashlib.sha256(version("matplotlib").encode())
    for path in sorted(ROOT.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def keep(folder: Path, drawn_of: str, figures: Sequence[SavedFigure]) -> None:
    """Write down what these figures were drawn of."""
    said = [
        {"name": f.name, "caption": f.caption, "title": f.title, "note": f.note, "files": _digests(f)} for f in figures
    ]
    write_json(folder / RECORD, {"drawn of": drawn_of, "figures": said})


def kept(folder: Path, drawn_of: str) -> list[SavedFigure] | None:
    """The figures of a folder; None where they are of something else, or a file is not as it was written."""
    record = read_json(folder / RECORD)
    if not is_mapping(record) or record.get("drawn of") != drawn_of or not is_list(said := record.get("figures")):
        return None
    found = [_figure(folder, one) for one in said]
    return found if all(_digests(f) == one["files"] for f, one in zip(found, said, strict=True)) else None


def _figure(folder: Path, said: Mapping[str, str]) -> SavedFigure:
    paths = {ending: folder / f"{said['name']}.{ending}" for ending in FILES}
    return SavedFigure(said["name"], said["caption"], said["title"], said["note"], **paths)


def _digests(figure: SavedFigure) -> dict[str, str | None]:
    return {
        ending: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for ending, path in figure.paths.items()
    }
