"""Metrics that stand beside those of a PGR: of what one role predicts, or of what roles are to one another.

Each is a view of stored predictions that depends on the examples through means (`OfMeans`), from which its value and
its interval follow. It registers itself when its module is imported, one of this room or a user's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from w2s_sweep.metrics.means import score_all
from w2s_sweep.registry import Registry

if TYPE_CHECKING:
    from w2s_sweep.metrics.means import OfMeans
    from w2s_sweep.metrics.shapes import Flags, Names, Probs, SeveralScores, Truth

ROLES = ("weak", "student", "ceiling")
"""The roles of every cell."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RolePredictions:
    """What one role of a cell predicts; all roles have the same examples in the same order. Of several cells with the
    same examples `probs` and `legal` have an axis before the others."""

    probs: Probs
    truth: Truth
    legal: Flags | None = None
    """Of a generation task: 1 where what was generated is a possible answer, 0 where it is not, NaN where that is not
    known; None where it never is."""
    groups: Names | None = None
    """Text: the name of each example's group; None where they are not known."""
    questions: Names | None = None
    """Text: the name of the question that each example answers, where that is not its group; else None."""

    def of_set(self, place: int) -> RolePredictions:
        """One of several sets."""
        legal = None if self.legal is None else self.legal[place]
        return replace(self, probs=self.probs[place], legal=legal)


class Further(ABC):
    """One or a few numbers of a cell under one heading."""

    name: ClassVar[str]
    """In tables, or how names in tables begin."""
    title: ClassVar[str]
    """The heading in the report."""
    about: ClassVar[str]
    """What it is, for somebody who does not know it."""
    place: ClassVar[int] = 100
    """Where it stands in the report: after all of a lower place."""
    several: ClassVar[bool] = False
    """Whether `measure` takes several sets of predictions at once (`RolePredictions`), which is much faster."""

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, str]:
        """Name in tables -> heading below the title."""


class OfRole(Further):
    """A metric of each role by itself; tables have it as `name/role`."""

    @property
    def columns(self) -> Mapping[str, str]:
        return {f"{self.name}/{role}": role for role in ROLES}

    @abstractmethod
    def measure(self, role: RolePredictions) -> OfMeans | None:
        """The metric; None for predictions that do not have it."""

    def scores_of_each(self, role: RolePredictions) -> SeveralScores | None:
        """`OfMeans.scores` of several sets: NaN where the metric is undefined; None where no set has it."""
        found = [self.measure(role)] if self.several else [self.measure(role.of_set(i)) for i in range(len(role.probs))]
        return _score(found, self.several, role)


class OfCell(Further):
    """What roles are to one another."""

    heads: ClassVar[tuple[tuple[str, str], ...]]
    """Names in tables, each with its heading below the title."""
    needs: ClassVar[tuple[str, ...]] = ROLES
    """Roles without which it is not measured."""

    @property
    def columns(self) -> Mapping[str, str]:
        return dict(self.heads)

    @abstractmethod
    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        """Name in tables -> the metric; none where a role that it needs is absent.

        `roles` has `weak`, `student` and `ceiling`, and under some methods a student to compare with, `reference`.
        """

    def scores_of_each(self, roles: Mapping[str, RolePredictions]) -> dict[str, SeveralScores]:
        """Name in tables -> `OfMeans.scores` of several sets, NaN where the metric is undefined."""
        first = next(iter(roles.values()))
        if self.several:
            found = [self.measure(roles)]
        else:
            each = [{name: role.of_set(i) for name, role in roles.items()} for i in range(len(first.probs))]
            found = [self.measure(one) for one in each]
        scored = {
            name: _score([one.get(name) for one in found], self.several, first)
            for name in dict.fromkeys(name for one in found for name in one)
        }
        return {name: scores for name, scores in scored.items() if scores is not None}


def _score(found: Sequence[OfMeans | None], together: bool, role: RolePredictions) -> SeveralScores | None:
    """[sets, examples] of what was measured of all sets together, or one by one."""
    if together:
        (one,) = found
        return None if one is None else score_all(one.terms, one.of)
    scores = [None if one is None else one.scores() for one in found]
    if all(one is None for one in found):
        return None
    return np.array([np.full(len(role.truth), np.nan) if one is None else one for one in scores])


FURTHER: Registry[Further] = Registry("further metric")
