"""How the student does where only the ceiling knows the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from w2s_sweep.metrics.accuracy import hits
from w2s_sweep.metrics.further import FURTHER, OfCell, RolePredictions
from w2s_sweep.metrics.means import OfMeans, share

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


class BlindSpot(OfCell):
    name = "blind_spot"
    title = "blind spot"
    about = "of what the ceiling knows and the supervisor does not"
    heads = (("blind_spot", "student wrong"),)
    several = True
    place = 30

    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        student, weak, ceiling = (roles[role].probs for role in ("student", "weak", "ceiling"))
        return {"blind_spot": blind_spot(student, weak, ceiling, roles["weak"].truth)}


FURTHER.register(BlindSpot.name, BlindSpot())


def blind_spot(student: Probs, weak: Probs, ceiling: Probs, truth: Truth) -> OfMeans:
    """Share of examples that the student gets wrong, among those known to the ceiling and not to the supervisor."""
    return share(~hits(student, truth), hits(ceiling, truth) & ~hits(weak, truth))
