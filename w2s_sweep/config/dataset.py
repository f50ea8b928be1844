"""A labelled task: where its rows come from, how they become balanced examples, how they are split."""

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from w2s_sweep.config.prompt import Prompt
from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.config.schema import schema
from w2s_sweep.config.source import Source

Fraction = Annotated[float, Field(gt=0, lt=1)]
Split = Literal["half_a", "half_b", "validation", "test"]
"""Half A trains the supervisor, half B student and ceiling; a student is chosen on validation and scored on test."""
SPLITS: tuple[Split, ...] = get_args(Split)
AUTO = "auto"
"""A split of a folder of one's own that is used where it is there."""


def _pairs(value: Any) -> Any:
    """Names by name, as sorted pairs, which can be hashed."""
    if is_mapping(value):
        return tuple(sorted((str(one), other) for one, other in value.items()))
    return tuple(tuple(one) if is_list(one) else one for one in value) if is_list(value) else value


def _spell(value: Any) -> Any:
    """What a file calls a class, where YAML reads it as a number or a truth."""
    return json.dumps(value) if isinstance(value, int | float) else value


ClassName = Annotated[str, BeforeValidator(_spell)]
Renamed = Annotated[tuple[tuple[str, str], ...] | None, BeforeValidator(_pairs)]
"""Name that a task knows -> name in the source."""


@schema
class Partition:
    """How one seed divides the rows into the four splits; groups are never torn apart."""

    seed: int
    validation: Fraction
    """Share of the training rows held out for validation."""
    test: Fraction
    """Share of all rows that become the test set, used only where the source has no test split of its own."""


@schema
class Dataset:
    """One task of the grid."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Short label for tables, figures and logs. Not hashed."""
    task: str
    """Name of the conversion to balanced classification, a row of `w2s_sweep.data.tasks`."""
    source: Source
    path: str | None = None
    """A local copy to use instead of `source`, as `kind: local` would."""
    folder: str | None = None
    """Folder of its copy under `data_root`; null is `name`. Not hashed."""
    stand_in: str | None = None
    """Split of such a copy that all rows come from where it lacks `train_split`; null is `test_split`."""
    train_split: str = "train"
    """Source split that the halves and validation are drawn from."""
    test_split: str | None = None
    """Source split that the test set is drawn from; null holds out `test` of the training split by group."""
    validation_split: str | None = None
    """Source split that validation is drawn from; null holds out `validation` of the training rows by group."""
    columns: Renamed = None
    """What the source calls the columns of the task: `{text: sentence, label: sentiment}`; others have their names."""
    labels: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=100)] | None = None
    """What the column `label` calls class 0, class 1, ...; null where it has numbers, true or false. As many as there
    are classes, for task=text_label."""
    odd_rows: Literal["refuse", "skip"] = "refuse"
    """Rows whose text is no text, or whose label is none of the classes: refused, or left out and counted."""
    unlabelled: Literal["leave_out", "half_b"] = "leave_out"
    """Rows without a label: left out and counted, or all of them in half B, which a supervisor labels; ceilings train
    on its other rows."""
    difficulty: str | None = None
    """Easy to hard: a numeric column of the source. Halves and validation have its easy rows alone, test the hard ones,
    of `train_split` where `test_split` is null."""
    difficulty_quantile: Fraction = 0.5
    """Share of the rows of `train_split` that are easy, those at or below this quantile of `difficulty`."""
    difficulty_threshold: float | None = None
    """Rows at or below this value of `difficulty` are easy; null takes the quantile."""
    n_train: Annotated[int, Field(ge=4)] | None = None
    """Most examples of halves and validation together (and of test when `test_split` is null); null: all."""
    n_test: Annotated[int, Field(ge=2)] | None = None
    """Upper bound of test examples drawn from `test_split`; null: all."""
    balance: Literal["classes", "none"] = "classes"
    """classes: as many test examples of each class, and in training at most 1.1 times an equal share (.55 of one of
    two). none: the source's own shares, for real distributions and numbers of others; accuracy then stands beside the
    majority share."""
    sample_seed: int = 0
    """Seed that draws the examples out of the source, the same for every seed of the sweep."""
    split_seed: int | None = None
    """null: every seed draws its own halves and test set; an integer: the same split for all seeds."""
    validation: Fraction = 0.1
    test: Fraction = 0.25
    max_tokens: Annotated[int, Field(ge=8)] = 512
    """Longer examples are cut to so many tokens, the same way for every model."""
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    """Generation: most tokens that a model writes, fewer or more than the longest target has, though it learns targets
    whole; null: those of the longest one."""
    tokens_per_example: Annotated[float, Field(gt=0)] = 100.0
    """Typical length of a text, for estimates of the work before the rows were read. Not hashed."""
    prompt: Prompt = Prompt()
    """How a model is asked for the label without training; only methods that prompt read it."""

    @property
    def own_test(self) -> bool:
        """Whether the source says which rows are tested on, whatever the seed."""
        return self.test_split is not None or self.difficulty is not None

    def split(self, seed: int) -> Partition:
        """How the cell with this seed divides the rows."""
        return Partition(
            seed=seed if self.split_seed is None else self.split_seed, validation=self.validation, test=self.test
        )
