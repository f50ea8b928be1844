"""Does a text give its label away? What counting words can solve is a leak, not a task (gold labels in prompts, gold
letters among texts): no honest task comes near the limits here."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2s_sweep.data.sample import count_classes

MOST_AUC = 0.99
"""Above this area under the ROC curve of a bag-of-words probe on held-out groups, something leaks."""
MOST_TOKEN_ACCURACY = 0.9
"""Above this balanced accuracy of one single word, that word is the label."""

ANSWER_AUC = 0.56
"""Above this area of the same probe on the last line alone, the answer tells part of its label without the question."""

BUCKETS = 1 << 16
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Leak:
    """What counting words achieves on a table of examples."""

    auc: float
    """Area under the ROC curve of the probe on the groups it was not fitted to, in [0, 1]."""
    token: str
    """The word that goes with one class most; `<end>` marks the last word of a text."""
    token_accuracy: float
    """Balanced accuracy of the rule "this class if (or unless) the word is there", in [0.5, 1]."""
    answer_auc: float | None = None
    """As `auc`, of the last lines alone: the answers of multiple choice. None where the texts have one line, and of
    pairs."""

    @property
    def found(self) -> bool:
        return self.auc > MOST_AUC or self.token_accuracy > MOST_TOKEN_ACCURACY

    @property
    def partial(self) -> bool:
        """Whether no text gives its label away, and the answer alone still tells part of it."""
        return not self.found and self.answer_auc is not None and self.answer_auc > ANSWER_AUC


def scan_leaks(examples: pa.Table) -> Leak:
    """Fit a bag-of-words probe on half of the groups, test it on the others, and look for a word that is the label.

    Of more than two classes each is scanned against the rest, and what tells most of any of them is said.
    """
    labels = examples["label"].to_numpy()
    classes = count_classes(labels)
    each = [_scan(examples, (labels == c).astype(np.float64)) for c in (range(classes) if classes > 2 else [1])]
    word = max(each, key=lambda leak: leak.token_accuracy)
    alone = [leak.answer_auc for leak in each if leak.answer_auc is not None]
    return Leak(max(leak.auc for leak in each), word.token, word.token_accuracy, max(alone) if alone else None)


def _scan(examples: pa.Table, labels: NDArray[np.float64]) -> Leak:
    """What words say of one class, which is 1 in `labels`."""
    texts: list[str] = examples["text"].to_pylist()
    words = [tokens(text) for text in texts]
    token, accuracy = telling_token(words, labels)
    signs = [[1.0] * len(found) for found in words]
    if "text_other" in examples.column_names:
        for found, sign, other in zip(words, signs, examples["text_other"].to_pylist(), strict=True):
            sign += [-1.0] * len(tokens(other))
            found += tokens(other)
    odd = np.array([zlib.crc32(group.encode()) & 1 for group in examples["group"].to_pylist()], dtype=bool)
    scores = probe(words, signs, labels, ~odd)
    several = "text_other" not in examples.column_names and all("\n" in text for text in texts)
    alone = _answers(texts, labels, odd) if several else None
    return Leak(auc(scores[odd], labels[odd]), token, accuracy, alone)


def _answers(texts: Sequence[str], labels: NDArray[np.float64], odd: NDArray[np.bool_]) -> float:
    """Area of the probe on the last line of every text."""
    words = [tokens(text.rpartition("\n")[2]) for text in texts]
    scores = probe(words, [[1.0] * len(found) for found in words], labels, ~odd)
    return auc(scores[odd], labels[odd])


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, and the last one once more as such."""
    found = _WORD.findall(text.lower())
    return [*found, f"{found[-1]}<end>"] if found else []


def telling_token(words: Sequence[Sequence[str]], labels: NDArray[np.float64]) -> tuple[str, float]:
    """The word whose presence separates the classes best, and its balanced accuracy; ("", 0.5) without any word."""
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for found, label in zip(words, labels.tolist(), strict=True):
        counts[int(label)].update(set(found))
    ones = max(1.0, float(labels.sum()))
    zeros = max(1.0, len(labels) - float(labels.sum()))
    gaps = {word: abs(counts[1][word] / ones - counts[0][word] / zeros) for word in {*counts[0], *counts[1]}}
    if not gaps:
        return "", 0.5
    best = max(sorted(gaps), key=gaps.__getitem__)
    return best, 0.5 + gaps[best] / 2


def probe(
    words: Sequence[Sequence[str]],
    signs: Sequence[Sequence[float]],
    labels: NDArray[np.float64],
    fitted: NDArray[np.bool_],
    steps: int = 300,
    penalty: float = 1e-4,
) -> NDArray[np.float64]:
    """Logit of every text from logistic regression on hashed words, fitted to the texts where `fitted`."""
    texts = np.repeat(np.arange(len(words)), [len(found) for found in words])
    buckets = np.array([zlib.crc32(word.encode()) % BUCKETS for found in words for word in found], dtype=np.int64)
    lengths = np.sqrt(np.maximum(1, np.bincount(texts, minlength=len(words))))
    values = np.array([sign for found in signs for sign in found]) / lengths[texts]
    weights, momentum, logits = np.zeros(BUCKETS), np.zeros(BUCKETS), np.zeros(len(words))
    for step in range(steps):
        errors = np.where(fitted, labels - 1 / (1 + np.exp(-logits)), 0) / max(1, fitted.sum())
        slope = np.bincount(buckets, values * errors[texts], BUCKETS) - penalty * weights
        momentum = 0.9 * momentum + slope
        weights += (4.0 if step < steps // 2 else 1.0) * momentum
        logits = np.bincount(texts, values * weights[buckets], len(words)).clip(-30, 30).astype(np.float64)
    return logits


def auc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Area under the ROC curve, ties counted as one half; 0.5 if a class is missing."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ones = int(labels.sum())
    zeros = len(labels) - ones
    if ones == 0 or zeros == 0:
        return 0.5
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
