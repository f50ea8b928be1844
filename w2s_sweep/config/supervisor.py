"""Who supervises: the weak model, or a file of labels that somebody made elsewhere; and how its labels are read."""

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.config.source import LocalSource

Policy = Literal["refuse", "skip"]
"""What becomes of rows that are trained on and have no label: the sweep is refused, or they are left out."""

Repeated = Literal["refuse", "mean"]
"""What becomes of several labels of one example: refused where they differ, or one vote each."""


@schema
class LabelColumns:
    """What the columns of a labels file are called; null is the column of that very name, where there is one."""

    id: str | None = None
    """Id of the example, as in `w2s data TASK --out FILE`; without it rows are found by their text."""
    text: str | None = None
    """The text of the example, as `w2s data` shows it."""
    text_other: str | None = None
    """Second text of a pair."""
    label: str | None = None
    """A hard label: the number or the name of a class."""
    probability: str | None = None
    """Probability of class 1, or a list with that of each class."""
    logits: str | None = None
    """A list with the logit of each class, or the log-odds of class 1."""
    votes: str | None = None
    """A list of hard labels by several annotators; null entries are no vote."""


@schema
class Supervisor:
    """The supervisor of a cell."""

    labels: str | None = None
    """A file whose labels supervise in place of the weak model: .jsonl, .json, .csv, .tsv, .parquet. Its content enters
    the key, its path does not."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    """What tables call it; null is the name of the file. Not hashed."""
    columns: LabelColumns = LabelColumns()
    classes: tuple[str, ...] | None = None
    """What the file calls class 0, class 1, ...; null where labels are numbers."""
    missing: Policy = "refuse"
    """Rows of half B without a label: the sweep is refused, or they are left out of training."""
    repeated: Repeated = "refuse"
    """Several rows for one example: refused where they differ, or their mean, one vote each."""
    harden: bool = False
    """Train on the class that a supervisor finds most likely alone, not on how sure it is, whoever supervises. Classes
    that tie share the label."""

    test: Literal["whole", "labelled"] = "whole"
    """A file that labels some test rows: it gets no score, or all roles are scored on the rows that it labels."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Labels are softmax(log p / temperature) of what a supervisor says, whoever it is: above 1 less sure, below 1
    surer. Its own score stays as it is."""
    calibrate: bool = False
    """Instead fit the temperature to the truth of validation rows (Guo et al. 2017, arXiv 1706.04599), which nobody who
    needs weak supervision has many of."""

    @property
    def source(self) -> LocalSource | None:
        """The file."""
        return None if self.labels is None else LocalSource(path=self.labels)

    @property
    def title(self) -> str:
        """What tables call the file."""
        return self.name or PurePath(self.labels or "").name.partition(".")[0]
