"""Is one loss better than another? Students of one supervisor, task and seed are compared in pairs."""

from collections.abc import Callable, Iterable, Sequence

from w2s_sweep.metrics import Interval, t_interval
from w2s_sweep.results.rows import Comparison, Row

BASELINE = "xent"
Difference = Callable[[Row, Row], Interval]
"""(first, second) -> second - first of the students' metric, with its interval over test examples."""


def compare(rows: Iterable[Row], difference: Difference) -> tuple[Comparison, ...]:
    """Each setting against the baseline of its task and pair of models: plain cross-entropy, or what comes first."""
    problems: dict[tuple[str, str, str], dict[tuple[str, str, str], dict[int, Row]]] = {}
    for row in rows:
        if row.state == "done":
            settings = problems.setdefault((row.dataset, row.pair, row.metric), {})
            settings.setdefault((row.loss, row.method, row.finetune), {})[row.seed] = row
    return tuple(found for settings in problems.values() for found in _against_baseline(settings, difference))


def _against_baseline(settings: dict[tuple[str, str, str], dict[int, Row]], difference: Difference) -> list[Comparison]:
    base = next((setting for setting in settings if setting[0] == BASELINE), next(iter(settings)))
    others = [setting for setting in settings if setting != base]
    started = settings[base]
    pairs = [[(started[seed], row) for seed, row in settings[s].items() if seed in started] for s in others]
    return [_comparison(found, difference) for found in pairs if found]


def _comparison(pairs: Sequence[tuple[Row, Row]], difference: Difference) -> Comparison:
    """Over seeds where there are several; over test examples where there is one."""
    if len(pairs) == 1:
        change = difference(*pairs[0])
    else:
        values = [(first.student.value, second.student.value) for first, second in pairs]
        change = t_interval([b - a for a, b in values if a is not None and b is not None])
    return Comparison(first=pairs[0][0], second=pairs[0][1], seeds=len(pairs), difference=change)
