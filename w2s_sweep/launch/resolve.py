"""What each source of a sweep is when it is submitted: a commit, a digest; never what it may become later."""

from collections.abc import Mapping, Sequence

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import Source
from w2s_sweep.errors import ConfigError, SourceError
from w2s_sweep.kinds.base import Json, SourceKind
from w2s_sweep.sources import identify

Resolved = Mapping[tuple[Source, SourceKind], Mapping[str, Json]]
"""What each source was when the sweep was submitted."""


def resolve_all(cells: Sequence[Cell]) -> Resolved:
    """Resolve every source once; all that cannot be resolved are reported together."""
    wanted: dict[tuple[Source, SourceKind], str] = {}
    for cell in cells:
        for model in cell.models():
            wanted[model.source, model.source_kind] = f"{_setting_of(model, cell)} {model.name}"
        for dataset in cell.datasets():
            wanted[dataset.source, "dataset"] = f"{_setting_of(dataset, cell)} {dataset.name}"
        if cell.supervisor.source is not None:
            wanted[cell.supervisor.source, "dataset"] = "supervisor.labels"
    known: dict[tuple[Source, SourceKind], Mapping[str, Json]] = {}
    problems: list[str] = []
    for (source, kind), label in wanted.items():
        try:
            known[source, kind] = identify(source, kind)
        except SourceError as error:
            problems.append(f"{label}: {error}")
    if problems:
        raise ConfigError(problems)
    return known


def _setting_of(one: Model | Dataset, cell: Cell) -> str:
    """Where a cell names a model or a dataset."""
    named = {id(cell.weak): "model@weak", id(cell.strong): "model@strong", id(cell.dataset): "dataset"}
    named |= {id(test): "tests" for test in cell.tests}
    return named.get(id(one), f"method.{cell.method.name}")
