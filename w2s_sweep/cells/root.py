"""Copies of the hub's datasets under one folder, `data_root`: each cell gets the copy and the splits it is read from.

A copy may lack splits of the original. What is used instead is decided here, before anything is planned, stands in the
cell and hence in its keys, and is printed in words.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.source import HubSource, LocalSource
from w2s_sweep.data.readers import splits_of
from w2s_sweep.errors import ConfigError, DataError, nearest_first


def from_root(cells: Sequence[Cell], root: str) -> tuple[list[Cell], list[str]]:
    """The cells with datasets of kind `hub` read from their copies under `root`, and what was decided for each of them.

    Raises ConfigError with all datasets that have no copy, or none of the splits needed.
    """
    top = Path(root).expanduser().absolute()
    found: dict[Dataset, Dataset] = {}
    notes: list[str] = []
    problems: list[str] = []
    for dataset in dict.fromkeys(d for cell in cells for d in cell.datasets()):
        if not isinstance(dataset.source, HubSource):
            continue
        try:
            found[dataset], note = local_copy(dataset, top)
            notes.append(note)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(problems)
    read = [cell.reading(found) for cell in cells]
    return read, list(dict.fromkeys(notes))


def local_copy(dataset: Dataset, root: Path) -> tuple[Dataset, str]:
    """The dataset read from its folder under `root`, and in words which split is used for what. Raises DataError."""
    folder = root / (dataset.folder or dataset.name)
    if not folder.is_dir():
        names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        near = ", ".join(nearest_first(folder.name, names)[:10]) or "nothing"
        raise DataError(
            f"data_root: no folder {folder} for dataset {dataset.name}. {root} holds: {near}. Put the files "
            "<split>.jsonl there, name their folder with dataset.folder, or leave data_root=null to use the hub."
        )
    there = splits_of(folder)
    copied, why = _resplit(dataset, there)
    source = LocalSource(path=str(folder))
    use = (
        f"train {copied.train_split!r}, test {copied.test_split!r}"
        if copied.test_split
        else f"train and test dealt by group from {copied.train_split!r}"
    )
    return replace(copied, source=source), f"dataset {dataset.name} from {folder}: {use}{why}"


def _resplit(dataset: Dataset, there: Collection[str]) -> tuple[Dataset, str]:
    """The dataset with splits that are there, and why they are not the original ones."""
    train, test = dataset.train_split, dataset.test_split
    has_train, has_test = _has(there, train), test is None or _has(there, test)
    if has_train and has_test:
        return dataset, ""
    if has_train:
        return _hold_out(dataset, train), f" (no split {test!r} in this copy)"
    spare = dataset.stand_in or test
    if ("+" not in train or dataset.stand_in) and spare is not None and _has(there, spare):
        return _hold_out(dataset, spare), f" (no split {train!r} in this copy)"
    raise DataError(
        f"data_root: the copy of dataset {dataset.name} has neither split {train!r} nor {spare!r}. Splits found: "
        f"{', '.join(sorted(there)) or 'none'}. Set dataset.stand_in to the one to deal all parts from."
    )


def _has(there: Collection[str], splits: str) -> bool:
    """Whether all splits are there that `splits` joins by a plus sign."""
    return set(splits.split("+")) <= set(there)


def _hold_out(dataset: Dataset, split: str) -> Dataset:
    """Everything from one split, with as many training and test examples as the original asks for, if there are."""
    if dataset.test_split is None or dataset.n_train is None or dataset.n_test is None:
        return replace(dataset, train_split=split, test_split=None)
    n = dataset.n_train + dataset.n_test
    return replace(dataset, train_split=split, test_split=None, n_train=n, n_test=None, test=dataset.n_test / n)
