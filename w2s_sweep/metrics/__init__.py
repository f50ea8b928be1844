"""Metrics: pure functions of stored predictions (probabilities [examples, classes], true classes [examples])."""

from w2s_sweep.metrics.agreement import Agreement, agreement, capa, misfit
from w2s_sweep.metrics.bootstrap import CellScores, Interval, paired_bootstrap
from w2s_sweep.metrics.classification import accuracy, auroc, brier, ece, no_auroc
from w2s_sweep.metrics.compare import Difference, McNemar, holm, mcnemar, paired_difference
from w2s_sweep.metrics.deception import Deception, blind_spot, deception
from w2s_sweep.metrics.gap import Pgr, Summary, pgr, summarise
from w2s_sweep.metrics.resample import MetricName
from w2s_sweep.metrics.seeds import bootstrap_over_seeds, t_interval

__all__ = [
    "Agreement",
    "CellScores",
    "Deception",
    "Difference",
    "Interval",
    "McNemar",
    "MetricName",
    "Pgr",
    "Summary",
    "accuracy",
    "agreement",
    "auroc",
    "blind_spot",
    "bootstrap_over_seeds",
    "brier",
    "capa",
    "deception",
    "ece",
    "holm",
    "mcnemar",
    "misfit",
    "no_auroc",
    "paired_bootstrap",
    "paired_difference",
    "pgr",
    "summarise",
    "t_interval",
]
