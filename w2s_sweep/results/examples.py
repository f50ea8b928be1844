"""Test predictions of one stage in a fixed order, so that stages can be compared example by example."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import RolePredictions
from w2s_sweep.results.answers import Layout


@dataclass(frozen=True, eq=False)
class Frame:
    """Test rows sorted by id, and what follows from them: made once for all stages that predict these rows."""

    rows: Array
    """[examples] Where in the file each one stands."""
    ids: Array
    groups: Array
    truth: Array
    digest: str
    questions: Array | None = None
    """What each one answers, where that is not its group."""

    @classmethod
    def of(cls, layout: Layout, groups: Mapping[str, str], questions: Mapping[str, str] | None = None) -> "Frame":
        """`groups`: example id -> name of its group; an example without one is a group of its own. `questions`: example
        id -> the question that it answers, where several are about one group."""
        places = np.argsort(layout.ids.astype(str), kind="stable")
        ids, truth = layout.ids[places], layout.truth[places]
        names = np.array([groups.get(str(name), str(name)) for name in ids], dtype=str)
        asked = np.array([questions.get(str(name), str(name)) for name in ids], dtype=str) if questions else None
        return cls(layout.rows[places], ids, names, truth, _digest(ids, truth), asked)

    def share(self, known: "Frame") -> "Frame":
        """The same with the arrays of another of the same ids and groups: designs are made once for one array."""
        return replace(self, ids=known.ids, groups=known.groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples(RolePredictions):
    """Test predictions of one stage, sorted by example id."""

    ids: Array
    """[examples] text."""
    groups: Array = field()  # not the default of the class above
    """[examples] text: the name of each example's group. Examples of one group are no independent observations."""
    digest: str
    """Of ids and truth: equal for stages that can be compared."""

    def on(self, ids: Array) -> "Examples":
        """The examples of the given ids, in their order. StoreError where one of them is not there."""
        names = self.ids.astype(str)
        place = np.searchsorted(names, ids.astype(str)).clip(max=max(0, len(names) - 1))
        if len(absent := np.flatnonzero(names[place] != ids.astype(str))):
            raise StoreError(f"{len(absent)} of {len(ids)} evaluated test rows have no final prediction.")
        return replace(
            self,
            ids=ids,
            groups=self.groups[place],
            questions=None if self.questions is None else self.questions[place],
            truth=self.truth[place],
            probs=self.probs[place],
            legal=None if self.legal is None else self.legal[place],
            digest=_digest(ids, self.truth[place]),
        )

    @classmethod
    def of(cls, frame: Frame, probs: Array, legal: Mapping[str, bool]) -> "Examples":
        """`probs`: of all rows of the file. `legal`: example id -> whether what was generated is a possible answer,
        where that is known."""
        flags = np.array([legal.get(str(name), np.nan) for name in frame.ids], dtype=np.float64) if legal else None
        return cls(
            ids=frame.ids,
            groups=frame.groups,
            questions=frame.questions,
            truth=frame.truth,
            probs=probs[frame.rows],
            legal=None if flags is None or np.isnan(flags).all() else flags,
            digest=frame.digest,
        )


@dataclass
class Parts:
    """Shows stages on some of their rows: those of the same rows have the same array of groups, as whole stages do."""

    groups: dict[tuple[int, int], tuple[Array, Array, Array]] = field(
        default_factory=dict[tuple[int, int], tuple[Array, Array, Array]]
    )
    """Identities of a stage's groups and of the wanted ids, both kept here so that no other arrays get these, -> the
    groups of these ids."""

    def on(self, whole: Examples, ids: Array) -> Examples:
        """`whole.on(ids)`."""
        part = whole.on(ids)
        kept = self.groups.setdefault((id(whole.groups), id(ids)), (whole.groups, ids, part.groups))
        return replace(part, groups=kept[2])


def _digest(ids: Array, truth: Array) -> str:
    return hashlib.sha256("\n".join(ids.tolist()).encode() + truth.tobytes()).hexdigest()
