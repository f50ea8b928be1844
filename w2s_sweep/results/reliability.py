"""Reliability: how often answers of some confidence are right, which a reliability diagram is drawn of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from w2s_sweep.metrics import ROLES
from w2s_sweep.metrics.accuracy import hits
from w2s_sweep.metrics.ece import BINS, confidence_bins
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Reliability, Row


@dataclass
class ReliabilityReader:
    """Counts each stage once, however many cells share it."""

    final: Reader
    counted: dict[tuple[str, str], Reliability] = field(default_factory=dict[tuple[str, str], Reliability])
    """(stage, which examples) -> their counts."""

    def pool(self, rows: Sequence[Row]) -> dict[str, Reliability]:
        """Role -> the test examples of all finished cells together; of cells that differ in the seed only."""
        found: dict[str, Reliability] = {}
        for row in rows:
            for role in ROLES if row.state == "done" else ():
                key = getattr(row, f"{role}_key")
                counted = self._of_stage(key, row.weak_key) if key else None
                if counted is not None:
                    found[role] = found[role] + counted if role in found else counted
        return found

    def _of_stage(self, key: str, weak: str) -> Reliability | None:
        """None for a supervisor without predictions of test examples."""
        examples = self.final.beside(key, weak)
        if not isinstance(examples, Examples):
            return None
        about = key, examples.digest
        if about not in self.counted:
            self.counted[about] = count_bins(examples)
        return self.counted[about]


def count_bins(examples: Examples) -> Reliability:
    """The examples in bins of the probability of their most likely class."""
    confidence, member = confidence_bins(examples.probs)
    right = hits(examples.probs, examples.truth).astype(np.float64)
    return Reliability(*(tuple(np.bincount(member, w, BINS).tolist()) for w in (None, confidence, right)))
