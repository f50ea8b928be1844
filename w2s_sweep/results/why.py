"""One PGR laid open: what was counted, the gaps, their covariance, the decision, and the folders it comes from."""

from collections.abc import Iterator, Sequence

from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import ROLES, Recovery, t_quantile
from w2s_sweep.metrics.interval import LEVEL
from w2s_sweep.results.collected import Results
from w2s_sweep.results.records import Row
from w2s_sweep.results.tables.lines import interval, number
from w2s_sweep.store import Store


def explain_pgr(store: Store, results: Results, cell: int) -> str:
    """Why the PGR of a cell's setting is what it is, over all of its seeds. StoreError where there is no such cell."""
    if not 0 <= cell < len(results.rows):
        raise StoreError(
            f"--why: {cell} is no cell of {results.sweep}. Allowed: 0 to {len(results.rows) - 1}, the column `cell` of "
            "table.csv."
        )
    name = results.rows[cell].group
    rows = [row for row in results.rows if row.group == name]
    group = next(g for g in results.groups if g.group == name)
    head = f"{group.dataset}, {group.pair}, {group.loss}, {group.method}, {group.finetune}; metric {group.metric}"
    found = results.recoveries.get(name)
    decided = ["No cell of this setting is finished."] if found is None else explain_recovery(found)
    return "\n".join([head, "", *_seeds(rows), "", *decided, "", *_folders(store, rows)])


def _seeds(rows: Sequence[Row]) -> Iterator[str]:
    heads = ("cell", "seed", "test rows", "groups", *ROLES, "gain", "gap", "gain/gap")
    yield _line(heads)
    for row in rows:
        if row.state != "done":
            yield f"{row.cell:>9} {row.seed:>9}  {row.state}: {row.note}"
            continue
        scores = [number(found.value, 4) for found in (row.weak, row.student, row.ceiling, row.gain, row.gap)]
        yield _line((str(row.cell), str(row.seed), str(row.n_test), str(row.n_groups), *scores, number(row.ratio, 2)))


def _line(texts: Sequence[str]) -> str:
    return " ".join(f"{text:>9}" for text in texts)


def explain_recovery(found: Recovery) -> Iterator[str]:
    """Gain and gap, the covariance of their means and the decision that follows."""
    yield f"gain = student - weak, mean {interval(found.gain, 4)}"
    yield f"gap = ceiling - weak, mean  {interval(found.gap, 4)}"
    moments = found.moments
    if moments is None:
        yield f"PGR not identified: {found.reason}"
        return
    yield ""
    yield _part("covariance of the two means, in units of 1e-6", ("gain", "gain, gap", "gap"))
    parts = [(f"{moments.groups} groups of test examples", moments.of_groups)]
    if moments.of_runs is not None:
        parts += [(f"{moments.seeds} seeds", moments.of_runs), ("counted in both", moments.both)]
    for name, part in (*parts, ("together", moments.covariance)):
        yield _part(name, [f"{1e6 * part[i, j]:.1f}" for i, j in ((0, 0), (0, 1), (1, 1))])
    if moments.seeds == 1:
        yield "One seed: other runs may differ by more than this trained model's test examples say."
    yield ""
    yield f"degrees of freedom {moments.freedom:.1f}, t {t_quantile(LEVEL, moments.freedom):.3f} at {LEVEL:.0%}"
    yield (
        f"PGR not identified: {found.reason}" if found.reason else f"the gap is told from 0; PGR {interval(found.pgr)}"
    )


def _part(name: str, texts: Sequence[str]) -> str:
    return f"{name:<46}" + " ".join(f"{text:>11}" for text in texts)


def _folders(store: Store, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for role, key in zip(ROLES, (row.weak_key, row.student_key, row.ceiling_key), strict=True):
            if key:
                yield f"seed {row.seed} {role:<8} {store.path(key)}"
