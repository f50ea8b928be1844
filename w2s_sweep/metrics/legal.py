"""Of generated answers, how many are possible ones at all: legal moves, for instance."""

import numpy as np

from w2s_sweep.metrics.further import FURTHER, OfRole, RolePredictions
from w2s_sweep.metrics.means import OfMeans, share


class Legal(OfRole):
    name = "legal"
    title = "possible"
    about = "share of generated answers that can be at all, such as legal moves"
    several = True
    place = 50

    def measure(self, role: RolePredictions) -> OfMeans | None:
        """Share among the answers of which it is known whether they are possible; None where that is none of them."""
        return None if role.legal is None else share(role.legal == 1, ~np.isnan(role.legal))


FURTHER.register(Legal.name, Legal())
