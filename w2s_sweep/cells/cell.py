"""A cell is one point of the grid, fully resolved and validated; `Sweep` holds what is the same for all its cells."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Count, Model
from w2s_sweep.config.schema import schema
from w2s_sweep.methods import AnyMethod
from w2s_sweep.plan.setup import Setup
from w2s_sweep.tracking import AnyTracker, NoTracker


@schema
class Cell(Setup):
    """What is trained and compared; nothing in here is about where or how it runs."""

    method: AnyMethod

    def models(self) -> tuple[Model, ...]:
        """All that it opens: the weak one where there is one, the strong one, and what its method names."""
        return (*(() if self.weak is None else (self.weak,)), self.strong, *self.method.models())

    def datasets(self) -> tuple[Dataset, ...]:
        """All that it reads: its own, those of further test sets, and what its method names."""
        return (self.dataset, *self.tests, *self.method.datasets())

    def reading(self, copies: Mapping[Dataset, Dataset]) -> Self:
        """The cell with its datasets read from these copies, where there is one."""
        return replace(
            self,
            dataset=copies.get(self.dataset, self.dataset),
            tests=tuple(copies.get(one, one) for one in self.tests),
            method=self.method.reading(copies),
        )


@schema
class Sweep:
    """What is the same for all cells of a command and never enters a key."""

    store: Annotated[str, Field(min_length=1)]
    """Directory of finished stages, shared by every sweep and machine on this file system."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)] | None = None
    """Name of the sweep; null derives it from its cells, so the same command is the same sweep. Folders and jobs
    are called after it, which is why it has an end."""
    data_root: str | None = None
    """Folder with copies of the hub's datasets, one folder of `<split>.jsonl` each; null reads the hub."""
    modules: tuple[str, ...] = ()
    """Code of one's own that registers losses, methods, tasks or metrics: `.py` files, or names that Python can import.
    In no key; the versions of what they register are."""
    pairs: Literal["all", "smaller"] = "all"
    """Supervisors that a grid keeps: all, or those with fewer parameters than the student. A model is never its own."""
    zip: tuple[tuple[str, ...], ...] = ()
    """Of a grid: settings that take their values together, not each with each."""
    yes: bool = False
    """Go on without being asked where a grid is huge."""
    plan_only: bool = False
    """Print what would run, and stop."""
    objective: Literal["validation_pgr", "weak_agreement"] | None = None
    """What an optimising sweeper is given of a cell, see `results.objective`; None is the PGR of the test set, which
    sweepers are refused."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of one stage process; 0 is all cores. Bitwise repeatability on CPU holds for one thread count."""
    deterministic: bool = False
    """Repeatable bit for bit on a GPU too, slower: without it the order of some sums there changes from run to run."""
    micro_batch_tokens: Count | None = None
    """Tokens of one forward pass; None takes what the device likes. The gradient does not depend on it."""
    cotrain: Count = 1
    """LoRA students of one model and dataset that train at the same time, in the same passes over its frozen weights;
    1: one after another. Results do not depend on it beyond rounding."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Time between two checkpoints of a stage in seconds."""
    keep_weights: bool = False
    """Keep the weights of full fine-tuning (adapters and heads are always kept)."""
    test_evaluations: Annotated[int, Field(ge=0)] = 10
    """How often a trained stage predicts test rows on its way, evenly over its steps: curve.parquet, the curves over
    training. 0: never. What is trained does not depend on it."""
    tracker: AnyTracker = NoTracker()
    """Where curves are mirrored to; metrics.jsonl in every stage folder is the source of truth."""
