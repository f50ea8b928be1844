"""The columns of the table of further metrics: every number that is kept for a cell beside its metric and its PGR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from w2s_sweep.metrics import FURTHER, METRICS, ROLES
from w2s_sweep.results.records import Group


@dataclass(frozen=True)
class Columns:
    """A block of columns under one heading."""

    title: str
    about: str
    """What it is, for somebody who does not know it."""
    heads: Mapping[str, str]
    """Name in `Row.details` and `Group.details` -> heading below the title."""


def all_columns() -> list[Columns]:
    """A block for each metric a PGR may be of, one for the PGRs, and one for each further metric by its place."""
    found = [Columns(m.label, m.about, {f"{name}/{role}": role for role in ROLES}) for name, m in METRICS.items()]
    pgrs = {f"pgr/{name}": metric.label for name, metric in METRICS.items()}
    found.append(Columns("PGR of", "gap recovered in each of them", pgrs))
    ordered = sorted((metric for _, metric in FURTHER.items()), key=lambda metric: metric.place)
    return found + [Columns(metric.title, metric.about, metric.columns) for metric in ordered]


def known_columns(groups: Sequence[Group]) -> list[Columns]:
    """The blocks of which any group has a number, without columns of metrics that none was measured by."""
    filled = [block for block in all_columns() if any(_has_number(g, name) for g in groups for name in block.heads)]
    measured = {name for g in groups for name in g.details}
    return [replace(b, heads={name: head for name, head in b.heads.items() if name in measured}) for b in filled]


def _has_number(group: Group, name: str) -> bool:
    return name in group.details and group.details[name].value is not None
