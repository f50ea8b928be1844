"""Everything that is known of a sweep: its rows, groups, comparisons and curves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from w2s_sweep.metrics import Recovery
from w2s_sweep.results.comparison import Comparison
from w2s_sweep.results.cost import Summaries
from w2s_sweep.results.curve_point import CurvePoint, StudentStep
from w2s_sweep.results.records import Group, Median, Reliability, Row, State
from w2s_sweep.results.usage import Usage, usage_of
from w2s_sweep.store import Store


@dataclass(frozen=True)
class Results:
    """All of a sweep, or of several joined ones."""

    sweep: str
    """Its name, or all names."""
    record: dict[str, Any]
    """sweep.json, or several joined."""
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    medians: tuple[Median, ...]
    comparisons: tuple[Comparison, ...]
    failures: dict[str, str]
    """Stage key -> the error it ended with."""
    recoveries: Mapping[str, Recovery] = field(default_factory=dict[str, Recovery])
    """`Group.group` -> what its PGR is of."""
    curves: tuple[CurvePoint, ...] = ()
    """Over training: of every group with a curve, role by role, by rising step."""
    steps: Mapping[int, tuple[StudentStep, ...]] = field(default_factory=dict[int, tuple[StudentStep, ...]])
    """Cell -> the evaluations of its student, by rising step; of finished cells whose student has a curve."""
    reliability: Mapping[str, Mapping[str, Reliability]] = field(default_factory=dict[str, Mapping[str, Reliability]])
    """`Group.group` -> role -> how often its answers are right, of all seeds."""
    usage: tuple[Usage, ...] = ()
    """What the work took and had asked for; empty where no report is made of the results."""

    @property
    def over_tasks(self) -> list[Comparison]:
        """The comparisons over all tasks; none where there is one task."""
        return [c for c in self.comparisons if c.tasks > 1]

    @property
    def task_by_task(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.tasks == 1]

    def count(self, state: State) -> int:
        return sum(row.state == state for row in self.rows)

    @cached_property
    def _varying(self) -> frozenset[str]:
        names = ("dataset", "pair", "loss", "method", "finetune")
        return frozenset(name for name in names if len({getattr(row, name) for row in self.rows}) > 1)

    def variant(self, item: "Row | Group | Median | Comparison | CurvePoint") -> str:
        """Loss, and method and fine-tuning as far as the sweep varies them or their label discloses a setting."""
        return " · ".join(str(getattr(item, name)) for name in self._variant_names)

    @cached_property
    def _variant_names(self) -> list[str]:
        detailed = {name for name in ("method", "finetune") if any("(" in getattr(row, name) for row in self.rows)}
        return ["loss", *(name for name in ("method", "finetune") if name in self._varying | detailed)]

    def count_groups(self, count: int, of: int | None = None) -> str:
        """`3 settings`, `1 of 60 combinations of task and setting`: a setting is what differs in loss, method and
        fine-tuning, and where tasks or models vary there are more groups than that."""
        apart = [word for word, name in (("task", "dataset"), ("models", "pair")) if name in self._varying]
        several = (of or count) != 1
        what = "settings" if several else "setting"
        if apart:
            listed = ", ".join(apart) + " and setting"
            what = f"combination{'s' * several} of {listed}"
        return f"{count:,} {what}" if of is None else f"{count:,} of {of:,} {what}"

    def columns(self) -> list[str]:
        """Titles of the columns that tell rows apart."""
        titles = {"dataset": "dataset", "pair": "weak → strong"}
        return [title for name, title in titles.items() if name in self._varying] + [" · ".join(self._variant_names)]

    def texts(self, item: "Row | Group | Median | Comparison") -> list[str]:
        """What a row shows in `columns`."""
        names = [name for name in ("dataset", "pair") if name in self._varying]
        return [*(str(getattr(item, name)) for name in names), self.variant(item)]

    @cached_property
    def constants(self) -> str:
        """What all rows have in common and `columns` therefore leaves out."""
        names = [name for name in ("dataset", "pair") if name not in self._varying and self.rows]
        return " · ".join([*(str(getattr(self.rows[0], name)) for name in names), f"metric {self.rows[0].metric}"])


def with_usage(store: Store, results: Results, summaries: Summaries | None = None) -> Results:
    """The same with what the work took, of the summaries of all stages; None reads them."""
    return replace(results, usage=usage_of(store, results.record, summaries))
