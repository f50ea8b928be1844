"""What cells and settings have in common: scores of the roles, gain, gap, PGR and all further metrics."""

from collections.abc import Sequence
from typing import Any

from w2s_sweep.metrics import METRICS, ROLES, Interval, Recovery
from w2s_sweep.results.estimate import Designs, Entry, Estimated, estimate

Summary = tuple[dict[str, Any], Recovery]
"""What `Row` and `Group` have in common; and what the PGR is of."""


def summarize(entries: Sequence[Entry], metric: str, designs: Designs | None = None) -> list[Summary]:
    """Of entries, each of cells that differ in the seed only, whose metric is the same."""
    ratios = {name: (f"{name}/weak", f"{name}/student", f"{name}/ceiling") for name in METRICS}
    return [_summarize(found, metric) for found in estimate(entries, ratios, designs or Designs())]


def _summarize(found: Estimated, metric: str) -> Summary:
    idle = _idle(found)
    details = {name: mean for name, mean in found.means.items() if name.partition("/")[0] not in idle}
    recoveries = {name: one for name, one in found.recoveries.items() if name not in idle - {metric}}
    of = recoveries[metric]
    common = {
        "n_groups": found.groups,
        **{role: details.get(f"{metric}/{role}", Interval(None)) for role in ROLES},
        "gain": of.gain,
        "gap": of.gap,
        "excess": of.excess,
        "pgr": of.pgr,
        "unidentified": of.reason,
        "details": details | {f"pgr/{name}": recovery.pgr for name, recovery in recoveries.items()},
    }
    return common, of


def leave_out_questions(common: dict[str, Any], metric: str) -> dict[str, Any]:
    """The same without a value for metrics of whole questions, except the cell's own: of a task whose classes were
    balanced answer by answer, questions lack some of theirs."""
    unfit = [name for name, one in METRICS.items() if one.reads_groups and name != metric]
    names = {f"pgr/{name}" for name in unfit} | {f"{name}/{role}" for name in unfit for role in ROLES}
    return common | {"details": common["details"] | dict.fromkeys(names & {*common["details"]}, Interval(None))}


def _idle(found: Estimated) -> set[str]:
    """Metrics of groups that no cell has: most tasks have no questions, and no column that says so."""
    reading = [name for name, metric in METRICS.items() if metric.reads_groups]
    return {name for name in reading if all(found.means[one].value is None for one in _columns(found, name))}


def _columns(found: Estimated, metric: str) -> list[str]:
    return [name for name in (f"{metric}/{role}" for role in ROLES) if name in found.means]
