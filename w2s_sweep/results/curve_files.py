"""What stages predicted on the way: evaluations of the test rows that a cell is about, each file read once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.predictions import Evaluated
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Row


@dataclass
class CurveFiles:
    """The curves of stages."""

    final: Reader
    curves: dict[str, list[Evaluated]] = field(default_factory=dict[str, list[Evaluated]])
    """Of supervisors and ceilings; students are many, and each is of few cells."""
    ids: dict[str, Array] = field(default_factory=dict[str, Array])
    """Evaluated rows, one array for equal ones: it stands for them in what follows."""
    arrays: dict[int, tuple[Array, Array]] = field(default_factory=dict[int, tuple[Array, Array]])
    """Identity of an array, kept here so that no other one gets it -> itself, and the one that stands for it."""

    def of(self, role: str, row: Row) -> list[Evaluated]:
        """What the role's stage predicted on the way, for the rows that the cell is about."""
        key, labelled = getattr(row, f"{role}_key"), self.final.find_labelled(row.weak_key)
        curve = self._read(role, key)
        if labelled is None:
            return curve
        return self._share_ids([part for part in _among(curve, labelled) if len(part.ids)])

    def _read(self, role: str, key: str) -> list[Evaluated]:
        if key in self.curves:
            return self.curves[key]
        found = self._share_ids(self.final.curve(key))
        if role != "student":
            self.curves[key] = found
        return found

    def _share_ids(self, curve: Sequence[Evaluated]) -> list[Evaluated]:
        for one in curve:
            if id(one.ids) not in self.arrays:  # those of many files are one array: its text is made once
                self.arrays[id(one.ids)] = one.ids, self.ids.setdefault("\n".join(one.ids.tolist()), one.ids)
        return [Evaluated(one.step, one.steps, self.arrays[id(one.ids)][1], one.probs) for one in curve]


def _among(curve: Sequence[Evaluated], labelled: Array) -> list[Evaluated]:
    """The evaluations on labelled rows; those of equal rows share their ids, which are looked up once."""
    arrays, wanted = {id(one.ids): one.ids for one in curve}, labelled.astype(str)
    rows = {about: np.flatnonzero(np.isin(ids.astype(str), wanted)) for about, ids in arrays.items()}
    kept = {about: ids[rows[about]] for about, ids in arrays.items()}
    return [replace(one, ids=kept[id(one.ids)], probs=one.probs[rows[id(one.ids)]]) for one in curve]
