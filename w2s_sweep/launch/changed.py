"""Why work is planned again: a file of one's own has other content than when a sweep read it last."""

from collections.abc import Mapping
from typing import Any

from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import AdapterSource, LocalSource, Source
from w2s_sweep.kinds.base import Json, SourceKind
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

LOOKED_AT = 50
"""Sweeps, the newest first."""


def tell_changed(store: Store, resolved: Mapping[tuple[Source, SourceKind], Mapping[str, Json]]) -> list[str]:
    """A line for each local file or folder whose content has changed since a sweep of this store read it last."""
    own = {one: dict(identity) for one, identity in resolved.items() if isinstance(one[0], LocalSource | AdapterSource)}
    records = [read_json(store.sweep(name) / "sweep.json") or {} for name in store.sweeps()[:LOOKED_AT]] if own else []
    lines: list[str] = []
    for (source, kind), identity in own.items():
        for record in records:
            before = _identity_in(record, plain(source), kind)
            if before is not None and before != identity:
                lines.append(
                    f"{kind} {getattr(source, 'path', '')} has changed since sweep {record.get('name')} read it "
                    f"({record.get('created')}): what is made of it runs again."
                )
            if before is not None:
                break
    return lines


def _identity_in(record: Mapping[str, Any], source: Any, kind: str) -> Any:
    """What a sweep found a source to be; None where it did not read it."""
    for entry in record.get("sources", []):
        if entry.get("source") == source and entry.get("kind") == kind:
            return entry.get("identity")
    return None
