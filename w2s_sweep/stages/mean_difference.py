"""Mean-difference stage: a class is the one whose mean is nearest, in a model's frozen features.

Marks and Tegmark 2023, "The Geometry of Truth" (arXiv 2310.06824), section 5: with theta = mu+ - mu- the probe is
sigmoid(theta A x) for data that is centred between the two means, with A = 1, or the inverse covariance within classes.
The logit of class c is here mu_c A x - mu_c A mu_c / 2, whose differences are the same for two classes.
"""

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import MeanDifference
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.probe import Scaling
from w2s_sweep.training.examples import PREDICTED, load_rows, predictions_of
from w2s_sweep.training.labels import features_of, publish, read_labels


def class_means(features: Array, labels: Array) -> Array:
    """float64 [classes, width]: means weighted by soft labels [rows, classes]. DataError for a class without weight."""
    weight = labels.astype(np.float64).sum(0)
    if not (weight > 0).all():
        raise DataError(f"method: the supervisor says nothing of class {int(weight.argmin())}, so that it has no mean.")
    return labels.T.astype(np.float64) @ features / weight[:, None]


def metric_of(features: Array, labels: Array, means: Array, *, whiten: bool, penalty: float) -> Array:
    """float64 [width, width]: the identity, or the inverse covariance within classes with `penalty` times the mean
    variance added to its diagonal."""
    width = features.shape[1]
    if not whiten:
        return np.eye(width)
    scatter = np.zeros((width, width))
    for mean, weight in zip(means, labels.T.astype(np.float64), strict=True):
        centred = features - mean
        scatter += (centred * weight[:, None]).T @ centred
    covariance = scatter / labels.sum()
    return np.linalg.inv(covariance + penalty * np.trace(covariance) / width * np.eye(width))


def logits_of(features: Array, means: Array, metric: Array) -> Array:
    """float64 [rows, classes]."""
    directions = means @ metric
    return features @ directions.T - (directions * means).sum(1) / 2


def run(context: Context[MeanDifference]) -> None:
    settings = context.settings
    rows = load_rows(context.input("data"), settings.split)
    said = read_labels(context, "labels").on(settings.on)
    features = features_of(context, said.ids)
    scaling = Scaling.of(features, range(len(features)))
    learnt = scaling.standardise(features)
    means = class_means(learnt, said.probs)
    metric = metric_of(learnt, said.probs, means, whiten=settings.whiten, penalty=settings.penalty)
    chosen = rows.on(*PREDICTED)
    asked = scaling.standardise(features_of(context, rows.ids[chosen]))
    found = logits_of(asked, means, metric)
    publish(context, predictions_of(rows, chosen, found, {}), {"learnt from": len(learnt)})
