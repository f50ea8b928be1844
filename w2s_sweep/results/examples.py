"""Test predictions of one stage in a fixed order, so that stages can be compared example by example."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import RolePredictions
from w2s_sweep.predictions import Answers, Predictions


@dataclass(frozen=True, eq=False)
class Order:
    """Example ids sorted by name, and what follows from them: made once for all stages that predict these examples."""

    places: Array
    """[examples] Where in the file each one stands."""
    ids: Array
    groups: Array
    text: bytes
    """The sorted ids, a line each."""

    @classmethod
    def of(cls, ids: Array, groups: Mapping[str, str] | None = None) -> "Order":
        places = np.argsort(ids.astype(str), kind="stable")
        found = ids[places]
        names = np.array([(groups or {}).get(str(name), str(name)) for name in found], dtype=str)
        return cls(places, found, names, "\n".join(found.tolist()).encode())


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples(RolePredictions):
    """Test predictions of one stage, sorted by example id."""

    ids: Array
    """[examples] text."""
    groups: Array = field()  # not the default of the class above
    """[examples] text: the name of each example's group. Examples of one group are no independent observations."""
    digest: str
    """Of ids and truth: equal for stages that can be compared."""

    def on(self, ids: Array) -> "Examples":
        """The examples of the given ids, in their order. StoreError where one of them is not there."""
        names = self.ids.astype(str)
        place = np.searchsorted(names, ids.astype(str)).clip(max=max(0, len(names) - 1))
        if len(absent := np.flatnonzero(names[place] != ids.astype(str))):
            raise StoreError(f"{len(absent)} of {len(ids)} evaluated test rows have no final prediction.")
        return replace(
            self,
            ids=ids,
            groups=self.groups[place],
            truth=self.truth[place],
            probs=self.probs[place],
            legal=None if self.legal is None else self.legal[place],
            digest=_digest(ids, self.truth[place]),
        )

    @classmethod
    def of(
        cls, predictions: Predictions | Answers, legal: Mapping[str, bool] | None = None, order: Order | None = None
    ) -> "Examples":
        """`legal`: example id -> whether what was generated is a possible answer, where that is known.

        `order`: that of the ids of `predictions`; None takes each example for a group of its own.
        """
        order = order or Order.of(predictions.ids)
        truth = predictions.truth[order.places]
        flags = np.array([legal.get(str(name), np.nan) for name in order.ids], dtype=np.float64) if legal else None
        return cls(
            ids=order.ids,
            groups=order.groups,
            truth=truth,
            probs=predictions.probs[order.places],
            legal=None if flags is None or np.isnan(flags).all() else flags,
            digest=hashlib.sha256(order.text + truth.tobytes()).hexdigest(),
        )


def _digest(ids: Array, truth: Array) -> str:
    return hashlib.sha256("\n".join(ids.tolist()).encode() + truth.tobytes()).hexdigest()
