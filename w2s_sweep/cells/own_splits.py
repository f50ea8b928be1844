"""Files of a folder of one's own: which split each of them is, decided before anything is planned and told in words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.dataset import AUTO, Dataset
from w2s_sweep.config.source import LocalSource
from w2s_sweep.data.readers import splits_of
from w2s_sweep.errors import ConfigError, DataError

SPLIT_NAMES = {"test_split": ("test",), "validation_split": ("validation", "valid", "val", "dev")}
"""Field of a dataset -> what files of that split are called."""


def with_own_splits(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells with every split that is `auto` found or null, and what was decided for each dataset.

    Raises ConfigError with all folders that cannot be used.
    """
    found: dict[Dataset, Dataset] = {}
    notes: list[str] = []
    problems: list[str] = []
    for dataset in dict.fromkeys(d for cell in cells for d in cell.datasets()):
        if AUTO not in (dataset.test_split, dataset.validation_split):
            continue
        try:
            found[dataset], note = own_splits(dataset)
            notes += [note] if note else []
        except DataError as error:
            problems.append(f"dataset {dataset.name}: {error}")
    if problems:
        raise ConfigError(problems)
    return [cell.reading(found) for cell in cells], notes


def own_splits(dataset: Dataset) -> tuple[Dataset, str]:
    """The dataset with splits that are there, and which files lie there unused. Raises DataError."""
    path = Path(dataset.source.path).expanduser() if isinstance(dataset.source, LocalSource) else None
    there = splits_of(path) if path is not None and path.exists() else {}
    chosen: dict[str, str | None] = {}
    for field, names in SPLIT_NAMES.items():
        said = getattr(dataset, field)
        inside = [name for name in names if name in there] if path is not None and path.is_dir() else []
        if said == AUTO and len(inside) > 1:
            raise DataError(
                f"{path} has several splits for dataset.{field}: {', '.join(inside)}. Set it to one of them."
            )
        chosen[field] = (inside[0] if inside else None) if said == AUTO else said
    read = replace(dataset, **chosen)
    if path is None or not path.is_dir():
        return read, ""
    used = {name for split in (read.train_split, *chosen.values()) if split for name in split.split("+")}
    files = {file for name in used for file in there.get(name, [])}
    visible = (file for file in sorted(path.rglob("*")) if file.is_file())
    spare = [
        str(file.relative_to(path))
        for file in visible
        if file not in files and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    splits = [f"{name} {split!r}" for name, split in (("train", read.train_split), *_name_splits(chosen)) if split]
    unused = f"; not read: {', '.join(spare[:10])}" + (f" and {len(spare) - 10} more" if len(spare) > 10 else "")
    return read, f"dataset {dataset.name} from {path}: {', '.join(splits)}{unused if spare else ''}"


def _name_splits(chosen: dict[str, str | None]) -> list[tuple[str, str | None]]:
    return [(field.removesuffix("_split"), split) for field, split in chosen.items()]
