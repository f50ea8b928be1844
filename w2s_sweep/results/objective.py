"""What a sweeper may optimise: a number of validation rows. Nothing here reads a test prediction."""

from collections.abc import Mapping

from w2s_sweep.metrics import METRICS, NO_CEILING, ROLES, plain_ratio
from w2s_sweep.metrics.accuracy import most_likely
from w2s_sweep.predictions import FILE, Predictions, read_predictions
from w2s_sweep.results.records import Row
from w2s_sweep.store import Store


def validation_value(store: Store, row: Row, objective: str) -> tuple[float | None, str]:
    """(the objective of a finished cell, why it has none).

    `validation_pgr` spends the truth of validation rows: it is an oracle, for there is none where a weak supervisor is
    needed. `weak_agreement`, the share of validation rows on which student and supervisor predict the same class,
    spends none, and prefers students that imitate.
    """
    wanted = ("weak", "student") if objective == "weak_agreement" else ROLES
    keys = {role: getattr(row, f"{role}_key") for role in wanted}
    if not all(keys.values()):
        return None, NO_CEILING
    roles = {role: read_predictions(store.verify(key) / FILE, "validation") for role, key in keys.items()}
    empty = [role for role, found in roles.items() if not len(found)]
    if empty:
        return None, f"{', '.join(empty)}: no validation rows"
    return (_agreement if objective == "weak_agreement" else _pgr)(roles, row.metric)


def _pgr(roles: Mapping[str, Predictions], metric: str) -> tuple[float | None, str]:
    if METRICS[metric].reads_groups:
        return None, f"{metric} depends on groups, which validation rows are not known by"
    scores = [METRICS[metric].value(roles[role].probs, roles[role].truth) for role in ROLES]
    value = plain_ratio(*scores)
    return value, "" if value is not None else "on validation rows the ceiling is not better than the supervisor"


def _agreement(roles: Mapping[str, Predictions], metric: str) -> tuple[float | None, str]:
    said = [dict(zip(p.ids.tolist(), most_likely(p.probs).tolist(), strict=True)) for p in roles.values()]
    both = said[0].keys() & said[1].keys()
    if not both:
        return None, "student and supervisor predict no validation row in common"
    return sum(said[0][name] == said[1][name] for name in both) / len(both), ""
