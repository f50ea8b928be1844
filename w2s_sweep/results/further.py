"""The columns of the table of further metrics: every number that is kept for a cell beside its metric and its PGR."""

from collections.abc import Sequence
from dataclasses import dataclass

from w2s_sweep.results.rows import Group

ROLES = (("weak", "weak"), ("student", "student"), ("ceiling", "ceiling"))


@dataclass(frozen=True)
class Columns:
    """A block of columns under one heading."""

    title: str
    about: str
    """What it is, for somebody who does not know it."""
    names: tuple[tuple[str, str], ...]
    """Name in `Row.details` and `Group.details`, and heading."""


def _of_roles(metric: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{metric}/{role}", head) for role, head in ROLES)


FURTHER = (
    Columns("accuracy", "share of examples whose most likely class is the true one", _of_roles("accuracy")),
    Columns("AUROC", "of the probability margin, ties count one half", _of_roles("auroc")),
    Columns("PGR of", "gap recovered in each of the two", (("pgr/accuracy", "accuracy"), ("pgr/auroc", "AUROC"))),
    Columns(
        "student agrees with supervisor",
        "share of examples with the same predicted class; where the supervisor is wrong this is error inheritance",
        (
            ("agreement", "overall"),
            ("agreement/supervisor_right", "where right"),
            ("agreement/supervisor_wrong", "where wrong"),
        ),
    ),
    Columns(
        "corrects", "share of the supervisor's errors on which the student is right", (("correction", "its errors"),)
    ),
    Columns("blind spot", "of what the ceiling knows and the supervisor does not", (("blind_spot", "student wrong"),)),
    Columns(
        "conflict",
        "tax: share of examples that the student without conflict gets right and this one does not; deception: share "
        "unknown to the supervisor of those among them that the ceiling knows; expected: the same if the tax fell at "
        "random (arXiv 2406.11431)",
        (("conflict_tax", "tax"), ("deception", "deception"), ("deception/expected", "expected")),
    ),
    Columns("possible", "share of generated answers that can be at all, such as legal moves", _of_roles("legal")),
    Columns(
        "ECE",
        "expected calibration error, 15 bins; resamples have larger ones, so intervals lie high",
        _of_roles("ece"),
    ),
    Columns("Brier", "mean squared error of the probability of the true class", _of_roles("brier")),
    Columns(
        "predicted gain",
        "gain: Brier of the supervisor minus that of the student; misfit: their mean squared disagreement, needs no "
        "ground truth; theory (arXiv 2405.15116) expects a gain of about the misfit",
        (("gain/brier", "gain"), ("misfit", "misfit")),
    ),
    Columns("CAPA", "agreement beyond chance (arXiv 2502.04313); 0 is chance, 1 is identity", (("capa", "κ"),)),
)


def further(groups: Sequence[Group]) -> list[Columns]:
    """The blocks of which any group has a number."""
    return [b for b in FURTHER if any(_known(g, name) for g in groups for name, _ in b.names)]


def _known(group: Group, name: str) -> bool:
    return name in group.details and group.details[name].value is not None
