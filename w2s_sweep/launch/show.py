"""Prints a plan: cells, stages before merging, unique, finished, in flight, to run; why; and how much work that is."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from w2s_sweep.launch.estimate import expect
from w2s_sweep.launch.needs import Need, table_of
from w2s_sweep.plan.graph import ABSENT, Plan
from w2s_sweep.store import Store

MANY = 40
"""More stages than this are counted by kind and role, not listed."""


def show_plan(
    console: Console,
    plan: Plan,
    name: str,
    store: Store,
    needs: Sequence[Need],
    on_gpu: bool = False,
    threads: int = 0,
    *,
    listed: bool = True,
) -> None:
    """`needs`: what the stages that are to run on a GPU need. `threads`: of a stage on the CPU. `listed`: name stages
    one by one, where they are few.

    A sweep that runs at once names them when they run, and beforehand only those with an unusual reason.
    """
    graph = plan.graph
    counts = Counter(plan.states.values())
    todo = [graph.stages[key] for key in plan.keys("to run")]
    console.print(f"sweep {name} in {store.root}", highlight=False)
    console.print(
        f"{len(graph.roles)} cells ask for {graph.asked} stages; {len(graph.stages)} are unique: "
        f"{counts['done']} done, {counts['in flight']} in flight, {counts['to run']} to run"
        + (f", {counts['not needed']} not needed" if counts["not needed"] else ""),
        highlight=False,
    )
    if todo:
        expected = expect(todo, store, on_gpu, threads)
        work = expected.work
        if work.flops:  # probes on features that are there count none
            console.print(
                f"estimate: {work.examples:,.0f} examples, {work.tokens:,.0f} tokens, {work.flops:.2g} FLOPs",
                highlight=False,
            )
        console.print(str(expected), highlight=False)
        unusual = [key for key in plan.keys("to run", "in flight") if plan.reasons[key] != ABSENT]
        shown = plan.keys("to run", "in flight") if listed else unusual
        if shown:
            console.print(_list_stages(plan, shown) if len(shown) <= MANY else _count_stages(plan))
    if needs:
        console.print(table_of(needs))


def _list_stages(plan: Plan, keys: Sequence[str]) -> Table:
    why = {plan.reasons[key] for key in keys} != {ABSENT}  # what is usual needs no column
    table = Table("state", "stage", "key", *(["why"] if why else []), box=None, pad_edge=False)
    for key in keys:
        table.add_row(plan.states[key], plan.graph.stages[key].label, key[:10], *([plan.reasons[key]] if why else []))
    return table


def _count_stages(plan: Plan) -> Table:
    table = Table("state", "kind", "role", "stages", box=None, pad_edge=False)
    rows = Counter((plan.states[key], stage.kind, stage.hints.role or "") for key, stage in plan.graph.stages.items())
    for (state, kind, role), count in sorted(rows.items()):
        table.add_row(state, kind, role, str(count))
    return table
