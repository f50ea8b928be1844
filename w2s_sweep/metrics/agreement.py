"""How often student and supervisor predict the same class; error inheritance, and the errors that are corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from w2s_sweep.metrics.accuracy import most_likely
from w2s_sweep.metrics.further import FURTHER, OfCell, RolePredictions
from w2s_sweep.metrics.means import OfMeans, mean, share

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


@dataclass(frozen=True)
class Agreement:
    """Shares of examples; undefined where the examples they are shares of do not occur."""

    overall: OfMeans
    """Student and supervisor predict the same class."""
    supervisor_right: OfMeans
    """The same, among the examples on which the supervisor is right: what the student keeps."""
    supervisor_wrong: OfMeans
    """The same, among the supervisor's errors: error inheritance, the share of them that the student repeats."""
    correction: OfMeans
    """The student is right, among the supervisor's errors; 1 - inheritance for two classes."""


def agreement(student: Probs, weak: Probs, truth: Truth) -> Agreement:
    """Agreement of the most likely classes; rows of all three arguments are the same examples."""
    own, taught = most_likely(student), most_likely(weak)
    same, right = own == taught, taught == truth
    return Agreement(
        overall=mean(same),
        supervisor_right=share(same, right),
        supervisor_wrong=share(same, ~right),
        correction=share(own == truth, ~right),
    )


class AgreesWithSupervisor(OfCell):
    name = "agreement"
    title = "student agrees with supervisor"
    about = "share of examples with the same predicted class; where the supervisor is wrong this is error inheritance"
    heads = (
        ("agreement", "overall"),
        ("agreement/supervisor_right", "where right"),
        ("agreement/supervisor_wrong", "where wrong"),
    )
    needs = ("weak", "student")
    several = True
    place = 10

    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        found = agreement(roles["student"].probs, roles["weak"].probs, roles["weak"].truth)
        values = (found.overall, found.supervisor_right, found.supervisor_wrong)
        return dict(zip(self.columns, values, strict=True))


class Corrects(OfCell):
    name = "correction"
    title = "corrects"
    about = "share of the supervisor's errors on which the student is right"
    heads = (("correction", "its errors"),)
    needs = ("weak", "student")
    several = True
    place = 20

    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        found = agreement(roles["student"].probs, roles["weak"].probs, roles["weak"].truth)
        return {"correction": found.correction}


FURTHER.register(AgreesWithSupervisor.name, AgreesWithSupervisor())
FURTHER.register(Corrects.name, Corrects())
