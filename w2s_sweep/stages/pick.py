"""Pick stage: of several stages that differ in how they were trained, the best on validation rows by their truth."""

import shutil
from collections.abc import Sequence

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Pick
from w2s_sweep.metrics import METRICS
from w2s_sweep.predictions import CURVE, FILE, HEAD, TEXTS, WEIGHTS, Predictions, read_predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.examples import scores


def best_of(members: Sequence[Predictions], metric: str) -> tuple[int, list[float]]:
    """(position of the best, the metric of each on its validation rows).

    Of equally good ones the one that gives the truth the larger mean log-probability, then the first.
    """
    parts = [m.on("validation") for m in members]
    values = [METRICS[metric].value(p.probs, p.truth) for p in parts]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        empty = ", ".join(str(i) for i, value in enumerate(values) if value is None)
        raise DataError(
            f"ceiling: {metric} is undefined on the validation rows of candidates {empty}, so that the best cannot be "
            "told. Enlarge dataset.validation, or leave ceiling empty."
        )
    order = [(value, _likelihood(part)) for value, part in zip(known, parts, strict=True)]
    return max(range(len(order)), key=lambda i: (order[i], -i)), known


def _likelihood(p: Predictions) -> float:
    given = p.probs[np.arange(len(p)), p.truth].astype(np.float64)
    return float(np.log(np.clip(given, np.finfo(np.float64).tiny, None)).mean())


def run(context: Context[Pick]) -> None:
    folders = context.members()
    members = [read_predictions(folder / FILE) for folder in folders]
    best, values = best_of(members, context.settings.metric)
    for name in (FILE, TEXTS, CURVE, HEAD, WEIGHTS):  # the picked one is used like any other
        if (folders[best] / name).is_file():
            shutil.copyfile(folders[best] / name, context.out / name)
    said = {f"validation of member {i}": value for i, value in enumerate(values)}
    context.finish(
        {"picked": best, "stage": folders[best].name, "examples": len(members[best])} | said | scores(members[best])
    )
