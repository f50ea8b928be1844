"""The numbers that each figure shows, as rows of a CSV file beside it."""

from collections.abc import Iterable, Sequence
from typing import Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.agreement import shares
from w2s_sweep.results.figures.by_task import task_pgrs
from w2s_sweep.results.figures.calibration import bins_of, reliabilities
from w2s_sweep.results.figures.facets import Facets, all_variants, facets, task_facets
from w2s_sweep.results.figures.heat import heat_cells, heat_value
from w2s_sweep.results.figures.scaling import scaling_groups
from w2s_sweep.results.figures.scatter import gain_points, task_points
from w2s_sweep.results.figures.strength import strength_groups
from w2s_sweep.results.figures.training import student_series
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.files import columns_as_csv

Line = dict[str, Any]
"""Name of a column -> what stands in it."""


def place(results: Results, g: Group) -> Line:
    """What tells a group from others. `dataset` is empty where tasks are averaged."""
    return {
        "dataset": g.dataset,
        "weak": g.weak_model,
        "strong": g.strong_model,
        "weak_params": g.weak_params,
        "strong_params": g.strong_params,
        "setting": results.variant(g),
        "seeds": len(g.seeds),
    }


def spread(name: str, estimate: Interval) -> Line:
    """An estimate with the ends of its 95 % interval."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _list_groups(shown: Facets) -> Iterable[Group]:
    return (g for panel in shown.panels for g in panel.groups)


def _points(results: Results, shown: Facets) -> list[Line]:
    """PGRs with the points that they are drawn beside, a row each: `of` says which."""
    rows: list[Line] = []
    for g in _list_groups(shown):
        about = place(results, g)
        rows.append(about | {"of": "all"} | spread("pgr", g.pgr) | {"note": g.unidentified})
        rows += [about | {"of": "point"} | spread("pgr", Interval(ratio)) | {"note": ""} for ratio in g.ratios]
    return rows


def pgr_rows(results: Results) -> list[Line]:
    return _points(results, facets(results))


def median_rows(results: Results) -> list[Line]:
    return _points(results, task_facets(results))


def bar_rows(results: Results) -> list[Line]:
    groups = _list_groups(facets(results, pgr=False))
    return [place(results, g) | _scores(g) | {"chance": g.chance} for g in groups]


def _scores(g: Group) -> Line:
    return spread("weak", g.weak) | spread("student", g.student) | spread("ceiling", g.ceiling)


def strength_rows(results: Results) -> list[Line]:
    return [place(results, g) | _scores(g) for g in strength_groups(results)]


def scaling_rows(results: Results) -> list[Line]:
    groups, _ = scaling_groups(results)
    return [place(results, g) | _scores(g) | spread("pgr", g.pgr) | {"note": g.unidentified} for g in groups]


def task_rows(results: Results) -> list[Line]:
    return [
        {"dataset": p.task, "weak": p.weak, "strong": p.strong, "setting": p.variant, "gap": p.gap, "pgr": p.pgr}
        for p in task_points(results)
    ]


def gain_rows(results: Results) -> list[Line]:
    return [place(results, g) | {"misfit": misfit, "gain": gain} for g, misfit, gain in gain_points(results)]


def curve_rows(results: Results) -> list[Line]:
    """A row for each point of a line."""
    panels, _ = student_series(results)
    rows: list[Line] = []
    for panel, series in panels.items():
        for one in series:
            lines = (
                one.line(lambda p: p.value),
                one.line(lambda p: p.weak),
                one.line(lambda p: p.ceiling),
                one.line(lambda p: p.agreement_supervisor_wrong),
            )
            for points, value, weak, ceiling, repeated in zip(one.points, *lines, strict=True):
                about = {"panel": panel, "setting": one.variant, "step": points[0].step, "steps": points[0].steps}
                ends = {"weak": weak.value, "ceiling": ceiling.value, "errors_repeated": repeated.value}
                rows.append(about | spread("student", value) | ends)
    return rows


def heat_rows(results: Results) -> list[Line]:
    return [
        {"setting": variant, "weak": weak, "strong": strong, "tasks": len(groups), "pgr": heat_value(groups)}
        for variant in all_variants(results)
        for (weak, strong), groups in heat_cells(results, variant).items()
    ]


def by_task_rows(results: Results) -> list[Line]:
    return [
        {"dataset": p.task, "pair": p.pair, "setting": p.variant, "pairs": p.pairs} | spread("pgr", p.pgr)
        for p in task_pgrs(results)
    ]


def agreement_rows(results: Results) -> list[Line]:
    """Agreement with a supervisor that is right, and with one that is wrong."""
    rows = shares(list(_list_groups(facets(results, pgr=False))))
    return [place(results, g) | spread("where_right", right) | spread("where_wrong", wrong) for g, right, wrong in rows]


def calibration_rows(results: Results) -> list[Line]:
    return [
        {"panel": panel, "line": name, "confidence": sure, "accuracy": right, "examples": n}
        for panel, lines in reliabilities(results).items()
        for name, counted in lines.items()
        for sure, right, n in bins_of(counted)
    ]


def as_text(rows: Sequence[Line]) -> str:
    """The rows as CSV."""
    return columns_as_csv({name: [row[name] for row in rows] for name in (rows[0] if rows else ())})
