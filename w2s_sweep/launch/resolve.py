"""What each source of a sweep is when it is submitted: a commit, a digest; never what it may become later."""

from collections.abc import Mapping, Sequence

from w2s_sweep.cells.cell import Cell
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
        wanted[cell.dataset.source, "dataset"] = f"dataset {cell.dataset.name}"
        if cell.weak is not None:
            wanted[cell.weak.source, cell.weak.source_kind] = f"model@weak {cell.weak.name}"
        if cell.supervisor.source is not None:
            wanted[cell.supervisor.source, "dataset"] = "supervisor.labels"
        wanted[cell.strong.source, cell.strong.source_kind] = f"model@strong {cell.strong.name}"
        for model in cell.method.models():
            wanted[model.source, model.source_kind] = f"method.{cell.method.name} {model.name}"
        for dataset in cell.tests:
            wanted[dataset.source, "dataset"] = f"tests {dataset.name}"
        for dataset in cell.method.datasets():
            wanted[dataset.source, "dataset"] = f"method.{cell.method.name} {dataset.name}"
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
