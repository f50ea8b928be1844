"""The part that each stage of a cell plays."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Which stages of a cell play which part; PGR compares their predictions on the test set."""

    weak: str
    student: str
    ceiling: str | None
    """None where none is trained, `ceiling.skip`."""
    reference: str | None = None
    """The student without what the method puts in its way, where the results compare with that one too."""

    tests: "tuple[tuple[str, Roles], ...]" = ()
    """(name of a further dataset, the stages that show its test rows to these roles)."""

    def keys(self) -> tuple[str, ...]:
        """The stages whose predictions the results of the cell are computed from."""
        named = (self.weak, self.student, self.ceiling, self.reference)
        shown = (key for _, roles in self.tests for key in roles.keys())  # noqa: SIM118 - not a dict
        return tuple(dict.fromkeys(key for key in (*named, *shown) if key is not None))

    def map(self, change: Callable[[str], str]) -> "Roles":
        """The same roles, each played by another stage."""
        reference = None if self.reference is None else change(self.reference)
        weak, student = change(self.weak), change(self.student)
        return Roles(weak, student, None if self.ceiling is None else change(self.ceiling), reference)
