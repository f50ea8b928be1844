"""The kinds that only run a model forward: frozen features, answers to prompts, labels in context."""

from dataclasses import replace
from typing import ClassVar, Literal

from w2s_sweep.config.dataset import SPLITS, Partition, Split
from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Divided, Hints, Identity, InputName, Kind, OfModel, Opened
from w2s_sweep.kinds.cost import CHARACTERS_A_TOKEN, Cost, forward, sizes_of
from w2s_sweep.kinds.labels import Groups
from w2s_sweep.kinds.memory import ON_CPU, Memory, running
from w2s_sweep.kinds.shape import Shape

DEPTH = 0.6
"""Share of its blocks after which a model's features are read by default."""


@schema
class Frozen(OfModel):
    """Part of the kinds that read frozen vectors out of the first blocks of a model."""

    shards: ClassVar[bool] = True

    pooling: Literal["last", "mean"]
    feature_layer: int | None
    precision: Precision

    def texts_of_example(self) -> int:
        """How often each example, or pair, is read."""
        return 1

    def cost(self, hints: Hints) -> Cost:
        sizes = sizes_of(hints.dataset)
        examples = self.texts_of_example() * (sizes.train + sizes.test)
        return forward(hints.of_model.params * self.depth(hints), examples, examples * sizes.tokens)

    def depth(self, hints: Hints) -> float:
        """Share of the blocks that run."""
        model = hints.of_model
        layer = model.feature_layer
        return DEPTH if layer is None else min(1.0, layer / (model.keep_layers or model.layers))

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """Of the blocks that run, which alone are loaded; adapted models are loaded whole."""
        loaded = shape if hints.adapted else shape.first(self.depth(hints))
        return running(loaded, self.precision, self.longest(hints))


@schema
class Features(Frozen):
    """One frozen vector for every text."""

    kind: ClassVar[str] = "features"

    texts: Literal["one", "both"] = "one"
    """Whether examples are pairs, which have a vector for each text."""


@schema
class FeaturesFile(Kind):
    """The vector that a file has of every example."""

    kind: ClassVar[str] = "features_file"

    file: Identity
    """What names its content."""

    def cost(self, hints: Hints) -> Cost:
        return Cost()

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return ON_CPU

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        return (Opened("dataset", hints.label, hints.of_model.source, self.file),)


@schema
class Asking(OfModel):
    """Part of the kinds that prompt a model for labels, see `config.prompt.Prompt`."""

    precision: Precision
    instruction: str
    question: str
    words: tuple[str, ...]
    pair: str | None = None

    def around(self) -> float:
        """About how many tokens a question and its answer have."""
        return (len(self.question) + len(max(self.words, key=len, default=""))) / CHARACTERS_A_TOKEN

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """With the keys and values of a prompt of every row."""
        return running(shape, self.precision, self.longest(hints), kept=shape.keys_and_values)


@schema
class Prompt(Asking, Divided):
    """The answer of a prompted model for each text."""

    kind: ClassVar[str] = "prompt"
    takes: ClassVar[tuple[InputName, ...]] = ("adapted", "labels")
    shards: ClassVar[bool] = True

    shots: int
    on: Split | None = None
    """With shots: the split that the examples shown are drawn from."""
    seed: int | None = None
    split: Partition | None = None
    splits: tuple[Split, ...] | None = None
    """With shots: the splits that are classified; without, all rows are."""

    def cost(self, hints: Hints) -> Cost:
        """Demonstrations pass through the model once, since all rows share them."""
        sizes = sizes_of(hints.dataset)
        examples = sum(sizes.on(split) for split in self.splits or SPLITS)
        tokens = (examples + self.shots) * (sizes.tokens + self.around())
        return forward(hints.of_model.params, examples, tokens)


@schema
class Annotate(Asking, Divided):
    """Labels that a model gives itself, with other rows and their labels in its prompt."""

    kind: ClassVar[str] = "annotate"

    split: Partition
    on: Split
    rows: int
    start: int
    steps: int
    folds: int | None
    alpha: float
    groups: Groups
    harden: bool
    seed: int

    def cost(self, hints: Hints) -> Cost:
        """A step that changes a label predicts every fold anew from all others; about twice as many steps do so as
        there are rows, and half of them are labelled on the way."""
        sizes = sizes_of(hints.dataset)
        rows = min(float(self.rows), sizes.on(self.on))
        folds = min(float(self.folds or rows), rows)
        changes = min(2 * rows, float(self.steps))
        examples = changes * rows / 2 + sizes.examples_predicted()
        words = sizes.tokens + len(self.question) / CHARACTERS_A_TOKEN
        tokens = words * (changes * rows / 2 * folds + examples)
        return forward(hints.of_model.params, examples, tokens)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """With the keys and values of a prompt of all rows, and the copy of them that a forward pass makes."""
        tokens = self.rows * min(hints.dataset.tokens_per_example, float(hints.dataset.max_tokens))
        need = super().memory(hints, shape)
        return replace(need, fixed=need.fixed + 2 * tokens * shape.keys_and_values)


@schema
class Contrast(Frozen):
    """A frozen vector for every text with each of its possible answers after it; the wording is that of `Asking`."""

    kind: ClassVar[str] = "contrast"

    instruction: str
    question: str
    words: tuple[str, ...]
    pair: str | None = None

    def texts_of_example(self) -> int:
        return len(self.words)
