"""The PGR of cells whose last stage has just ended: a point for whoever watches, no result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_sweep.metrics import ROLES, plain_ratio
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


@dataclass(frozen=True)
class Recovered:
    """A cell that is finished."""

    cell: int
    about: str
    """What tells it from the other cells, as it was typed: `loss=xent seed=0`."""
    pgr: float | None
    """None where the ceiling is not better than the supervisor, or there is none."""

    @property
    def text(self) -> str:
        return f"PGR {'undefined' if self.pgr is None else f'{self.pgr:.2f}'}  {self.about}".rstrip()


class Cells:
    """The cells of a sweep that are not finished yet."""

    def __init__(self, store: Store, record: Mapping[str, Any]):
        """`record`: sweep.json."""
        self.store = store
        self.entries: Sequence[Mapping[str, Any]] = record["cells"]
        said = [set[str](entry["overrides"]) for entry in self.entries]
        common = said[0].intersection(*said) if said else set[str]()
        self.about = [" ".join(o for o in entry["overrides"] if o not in common) for entry in self.entries]
        named = [{entry["roles"].get(role) for role in ROLES} - {None} for entry in self.entries]
        self.open: dict[int, set[str]] = dict(enumerate(named))
        self.of: dict[str, list[int]] = {}
        """Key of a stage -> cells that it is a role of."""
        for i, keys in self.open.items():
            for key in keys:
                self.of.setdefault(key, []).append(i)

    def finish(self, key: str) -> list[Recovered]:
        """The cells that a stage which has ended was the last one of."""
        of_it = [i for i in self.of.get(key, ()) if i in self.open]
        found = [i for i in of_it if all(self.store.is_done(k) for k in self.open[i])]
        for i in found:
            del self.open[i]
        return [Recovered(i, self.about[i], self._pgr(self.entries[i])) for i in found]

    def _pgr(self, entry: Mapping[str, Any]) -> float | None:
        if not {*ROLES} <= entry["roles"].keys():  # no ceiling was wanted
            return None
        name = f"{entry['cell']['metric']}/test"
        summaries = [read_json(self.store.path(entry["roles"][role]) / "summary.json") or {} for role in ROLES]
        return plain_ratio(*(summary.get(name) for summary in summaries))
