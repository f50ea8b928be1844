"""Metrics: pure functions of stored predictions (probabilities [examples, classes], true classes [examples])."""

from w2s_sweep.metrics.agreement import Agreement, agreement, capa, gain, misfit
from w2s_sweep.metrics.bootstrap import CellScores, Interval, paired_bootstrap
from w2s_sweep.metrics.classification import accuracy, auroc, brier, ece, no_auroc
from w2s_sweep.metrics.compare import auroc_influence, delong, holm, mcnemar
from w2s_sweep.metrics.deception import Deception, blind_spot, deception
from w2s_sweep.metrics.gap import Pgr, Summary, cause, pgr, summarise
from w2s_sweep.metrics.means import OfMeans, resampled_means
from w2s_sweep.metrics.permutation import sign_flip, smallest_p
from w2s_sweep.metrics.resample import MetricName
from w2s_sweep.metrics.seeds import bootstrap_over_seeds, t_interval
from w2s_sweep.metrics.tasks import over_tasks

__all__ = [
    "Agreement",
    "CellScores",
    "Deception",
    "Interval",
    "MetricName",
    "OfMeans",
    "Pgr",
    "Summary",
    "accuracy",
    "agreement",
    "auroc",
    "auroc_influence",
    "blind_spot",
    "bootstrap_over_seeds",
    "brier",
    "capa",
    "cause",
    "deception",
    "delong",
    "ece",
    "gain",
    "holm",
    "mcnemar",
    "misfit",
    "no_auroc",
    "over_tasks",
    "paired_bootstrap",
    "pgr",
    "resampled_means",
    "sign_flip",
    "smallest_p",
    "summarise",
    "t_interval",
]
