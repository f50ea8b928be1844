"""How much work a stage is, estimated before anything was read."""

from dataclasses import dataclass

from w2s_sweep.config.dataset import Dataset, Split
from w2s_sweep.data.shape import has_pairs

UNKNOWN_EXAMPLES = 10_000
"""Assumed size of a dataset whose configuration puts no bound on it."""
CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Cost:
    """An estimate, good to a factor of two: real lengths are known only after tokenisation."""

    examples: float = 0.0
    """Examples that pass through the model, every epoch counted."""
    tokens: float = 0.0
    flops: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.examples + other.examples, self.tokens + other.tokens, self.flops + other.flops)


@dataclass(frozen=True)
class Sizes:
    """Expected sizes of a dataset."""

    train: float
    """Examples of halves and validation."""
    test: float
    validation: float
    """Share of `train` that is held out."""
    tokens: float
    """Tokens of an example, both texts of a pair together."""

    def on(self, split: Split) -> float:
        """Examples of a split."""
        held_out = self.train * self.validation
        return {"validation": held_out, "test": self.test}.get(split, (self.train - held_out) / 2)

    def examples_predicted(self) -> float:
        """Examples that every trained stage predicts: half B, validation and test."""
        return self.on("half_b") + self.on("validation") + self.test


def sizes_of(dataset: Dataset) -> Sizes:
    tokens = min(dataset.tokens_per_example, float(dataset.max_tokens)) * (2 if has_pairs(dataset) else 1)
    rows = float(dataset.n_train or UNKNOWN_EXAMPLES)
    if not dataset.own_test:
        return Sizes(rows * (1 - dataset.test), rows * dataset.test, dataset.validation, tokens)
    return Sizes(rows, float(dataset.n_test or UNKNOWN_EXAMPLES / 5), dataset.validation, tokens)


def forward(params: float, examples: float, tokens: float) -> Cost:
    """2 FLOPs a parameter and token (Kaplan et al. 2020, section 2.1)."""
    return Cost(examples, tokens, 2 * params * tokens)
