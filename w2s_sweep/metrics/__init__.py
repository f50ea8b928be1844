"""Metrics: pure functions of stored predictions (probabilities [examples, classes], true classes [examples]).

Every module of this room is imported here, so a metric that registers itself in a file of its own is known at once.
"""

from importlib import import_module
from pkgutil import iter_modules

from w2s_sweep.metrics.accuracy import accuracy
from w2s_sweep.metrics.agreement import Agreement, agreement
from w2s_sweep.metrics.auroc import auroc, no_auroc
from w2s_sweep.metrics.base import METRICS, Metric
from w2s_sweep.metrics.blind_spot import blind_spot
from w2s_sweep.metrics.brier import brier
from w2s_sweep.metrics.brier_gain import gain, misfit
from w2s_sweep.metrics.capa import capa
from w2s_sweep.metrics.crossed import Design, Moments, Spread
from w2s_sweep.metrics.deception import Deception, deception
from w2s_sweep.metrics.ece import ece
from w2s_sweep.metrics.further import FURTHER, ROLES, Further, OfCell, OfRole, RolePredictions
from w2s_sweep.metrics.gap import (
    NO_CEILING,
    NO_TEST_LABELS,
    Recovery,
    cause,
    plain_ratio,
    recover,
    recover_all,
    undefined_recovery,
    unscored_recovery,
)
from w2s_sweep.metrics.holm import holm
from w2s_sweep.metrics.interval import Interval, crossed_interval, crossed_intervals, crossed_p, t_interval, t_quantile
from w2s_sweep.metrics.means import OfMeans, mean, score_all, share
from w2s_sweep.metrics.permutation import sign_flip, smallest_p
from w2s_sweep.metrics.tasks import median_interval

__all__ = [
    "FURTHER",
    "METRICS",
    "NO_CEILING",
    "NO_TEST_LABELS",
    "ROLES",
    "Agreement",
    "Deception",
    "Design",
    "Further",
    "Interval",
    "Metric",
    "Moments",
    "OfCell",
    "OfMeans",
    "OfRole",
    "Recovery",
    "RolePredictions",
    "Spread",
    "accuracy",
    "agreement",
    "auroc",
    "blind_spot",
    "brier",
    "capa",
    "cause",
    "crossed_interval",
    "crossed_intervals",
    "crossed_p",
    "deception",
    "ece",
    "gain",
    "holm",
    "mean",
    "median_interval",
    "misfit",
    "no_auroc",
    "plain_ratio",
    "recover",
    "recover_all",
    "score_all",
    "share",
    "sign_flip",
    "smallest_p",
    "t_interval",
    "t_quantile",
    "undefined_recovery",
    "unscored_recovery",
]

for _info in iter_modules(__path__):
    if _info.name != "shapes":  # needs a package that only tests have
        import_module(f"{__name__}.{_info.name}")
