"""What a kind of stage is: a frozen class whose fields determine the result, and what planning knows of such a stage.

Reading one of these classes loads no torch; what a stage does is `run(context)` of the module of the same name in
`w2s_sweep.stages`, which `Kind.load` imports where the stage runs.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Literal, cast

from w2s_sweep.config.dataset import Dataset, Partition
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.schema import schema
from w2s_sweep.config.source import Source
from w2s_sweep.data.shape import has_pairs
from w2s_sweep.kinds.cost import Cost
from w2s_sweep.kinds.memory import Memory
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.losses import Loss, loss_settings

Json = Any
"""A value that canonical JSON can hold."""

Identity = dict[str, Any]
"""What names the content of a source for ever: a commit, a SHA-256 (`sources.identify`)."""

SourceKind = Literal["model", "dataset"]

InputName = Literal[
    "adapted",
    "answers",
    "data",
    "features",
    "knows",
    "labels",
    "mixed",
    "mixed_features",
    "own",
    "trained",
    "weak",
    "weights",
]
"""What a stage may read of another stage; kinds with `members` read any number of further ones."""


class Hashed:
    """Base of what enters a key.

    A field with a default is left out of the key while it has that value: a setting that is added later with the
    value at which it changes nothing keeps all old keys. Hence the default of a released field never changes.
    """

    def hashed_settings(self) -> dict[str, Json]:
        """What is hashed, as plain JSON."""
        found: dict[str, Json] = {}
        for name, default in _defaults(type(self)):
            value = getattr(self, name)
            if default is MISSING or value != default:
                found[name] = as_json(value)
        return found


@cache
def _defaults(cls: type) -> list[tuple[str, Any]]:
    return [(f.name, f.default) for f in fields(cls)]


def as_json(value: Any) -> Json:
    """A setting as plain JSON."""
    if value is None or isinstance(value, str | int | float):  # most of them
        return value
    if isinstance(value, Hashed):
        return value.hashed_settings()
    if isinstance(value, Loss):
        return loss_settings(value)
    if isinstance(value, tuple | list):
        return [as_json(one) for one in cast("tuple[Any, ...] | list[Any]", value)]
    return plain(value) if is_dataclass(value) else value


@schema
class Hints:
    """What a job needs and a table shows of a stage, and what cannot change its result: never hashed."""

    label: str
    """What tables and logs call the stage."""
    dataset: Dataset
    role: str | None = None
    """The part it plays in a cell, or what its labels are for."""
    model: Model | None = None
    """The model that it opens; of labels the one that is trained on them or that they came from."""
    data: str | None = None
    """Labels: key of the data stage whose rows they are of."""
    adapted: str | None = None
    """Key of the stage that made the weights its model begins from."""
    labels: Source | None = None
    """The file that its labels are read from."""

    @property
    def of_model(self) -> Model:
        """The model, for kinds that cannot be without one."""
        if self.model is None:
            raise ValueError(f"{self.label}: names no model")
        return self.model


@dataclass(frozen=True)
class Opened:
    """A model or dataset that a stage opens."""

    kind: SourceKind
    name: str
    source: Source
    identity: Mapping[str, Json]


@schema
class Kind(Hashed):
    """Base of the kinds. A subclass is one kind where it has a `kind`, and a part that several share where not."""

    kind: ClassVar[str] = ""
    """Name of the kind, and of its module in `w2s_sweep.stages`."""
    version: ClassVar[int] = 1
    """Bumped by hand whenever the code of the kind would give another result for the same settings."""
    trains: ClassVar[bool] = False
    """Whether it trains something and publishes predictions."""
    makes_labels: ClassVar[bool] = False
    """Whether it makes labels out of labels, without a model of its own; it publishes predictions too."""
    needs: ClassVar[tuple[InputName, ...]] = ("data",)
    """Inputs without which it cannot run."""
    takes: ClassVar[tuple[InputName, ...]] = ()
    """Inputs that it reads where it has them."""
    members: ClassVar[bool] = False
    """Whether its inputs are any number of equals, `member 0`, `member 1`, ..."""

    def cost(self, hints: Hints) -> Cost:
        """How much work it is, good to a factor of two."""
        raise TypeError(f"{type(self).__name__} does not say what it costs")

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """What it holds in memory at once; no device memory means that it runs on the CPU. `shape`: of its model."""
        raise TypeError(f"{type(self).__name__} does not say what memory it needs")

    @property
    def can_shard(self) -> bool:
        """Whether several processes, each with a GPU of its own, can compute it together."""
        part = self.model_part()
        return part is not None and part.can_shard

    def model_part(self) -> "OfModel | None":
        """That of its settings which says what model it opens and how; None where it opens none."""
        return None

    def frozen_base(self) -> Hashable:
        """What stages have in common, beside model and data, that can be trained at once on one base whose weights are
        frozen; None where a stage cannot."""
        return None

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        """What has to be on the machine before it runs."""
        part = self.model_part()
        return () if part is None else part.opens(hints)

    def lora_targets(self) -> tuple[str, ...]:
        """Names of the modules of its model that get adapters."""
        return ()

    @classmethod
    def load(cls) -> Callable[[Any], None]:
        """What it does, a function of a `runner.context.Context`."""
        return import_module(f"w2s_sweep.stages.{cls.kind}").run

    @classmethod
    def load_steps(cls) -> Callable[[Any], Generator[Any, Any, None]]:
        """As `load`, for stages with a frozen base in common: it stops where it needs what `load_gradients` makes."""
        return import_module(f"w2s_sweep.stages.{cls.kind}").run_in_steps

    @classmethod
    def load_gradients(cls) -> Callable[[], Callable[[Sequence[Any]], Sequence[Any]]]:
        """What makes something that computes for several stages at once what each of them stopped for."""
        return import_module(f"w2s_sweep.stages.{cls.kind}").gradients

    @classmethod
    def check_inputs(cls, names: Iterable[str]) -> None:
        """ValueError for inputs that the kind does not read, or lacks."""
        there = set(names)
        if cls.members:
            wrong = {name for name in there if not name.startswith("member ")}
        else:
            wrong = (there - {*cls.needs, *cls.takes}) | (set(cls.needs) - there)
        if wrong:
            raise ValueError(f"a stage of kind {cls.kind} reads {cls.needs} and may read {cls.takes}, not {there}")


@schema
class Divided(Kind):
    """Part of all kinds that read rows by their split."""

    split: Partition | None
    """How the rows are divided; None where the stage reads all of them."""


@schema
class OfModel(Kind):
    """Part of all kinds that open a model and read texts with it."""

    takes: ClassVar[tuple[InputName, ...]] = ("adapted",)
    shards: ClassVar[bool] = False
    """Whether several processes can compute such a stage together, where `can_shard` says no more of it."""

    model: Identity
    """Which weights: what the model's source resolved to, and `keep_layers`."""
    max_tokens: int
    """Texts are cut to so many tokens."""

    def model_part(self) -> "OfModel":
        return self

    @property
    def can_shard(self) -> bool:
        return self.shards

    @property
    def way(self) -> str:
        """How the model is used, for tables."""
        return self.kind

    def longest(self, hints: Hints) -> int:
        """Tokens that go through the model together at least: those of a row."""
        return self.max_tokens * (2 if has_pairs(hints.dataset) else 1)

    @property
    def keep_layers(self) -> int | None:
        return self.model["keep_layers"]

    @property
    def weights(self) -> Identity:
        """What the model's source resolved to."""
        return {name: value for name, value in self.model.items() if name != "keep_layers"}

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        return (Opened("model", hints.of_model.name, hints.of_model.source, self.weights),)
