"""`w2s list` and `w2s rm`: the sweeps of a store, and the end of one."""

import argparse

from rich.console import Console

from w2s_sweep.amounts import show_bytes
from w2s_sweep.commands.base import Command
from w2s_sweep.commands.status import readable
from w2s_sweep.launch.overview import Sizes, overview, table_of
from w2s_sweep.launch.remove import plan_removal, remove_sweep
from w2s_sweep.launch.status import rarely
from w2s_sweep.store import Store
from w2s_sweep.store.removal import Removal

MANY = 20


def show_list(console: Console, store: Store, args: argparse.Namespace) -> int:
    names = readable(store, store.sweeps()[: args.last])
    if not names:
        console.print(f"no sweeps in {store.root}", highlight=False)
        return 0
    look, sizes = rarely(3600.0), Sizes(store)
    console.print(table_of([overview(store, name, look, sizes) for name in names]))
    return 0


def rm(console: Console, store: Store, args: argparse.Namespace) -> int:
    """In two steps: what would go and how many bytes that is; with --yes it goes."""
    if not args.yes:
        found = plan_removal(store, args.sweep)
        _show(console, store, found)
        console.print(f"{show_bytes(found.bytes)} would go; add --yes to do it", highlight=False)
        return 0
    found, gone = remove_sweep(store, args.sweep)
    _show(console, store, found)
    console.print(f"removed sweep {args.sweep}: {show_bytes(gone)} freed", highlight=False, markup=False)
    return 0


def _show(console: Console, store: Store, found: Removal) -> None:
    lines = [f"{show_bytes(found.own):>9}  {store.sweep(found.sweep)} (record, tables, report, job files)"]
    for part in found.parts[:MANY]:
        note = "" if part.finished else " (unfinished)"
        lines.append(f"{show_bytes(part.bytes):>9}  {part.key[:10]}  {part.label}{note}")
    rest = found.parts[MANY:]
    lines += [f"{show_bytes(sum(part.bytes for part in rest)):>9}  {len(rest)} more stages"] if rest else []
    others = sorted({name for names in found.kept.values() for name in names}) or ["submitted jobs"]
    lines += [f"{len(found.kept)} stages stay, needed by {', '.join(others)}"] if found.kept else []
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", type=int, metavar="N", help="only the N newest (default: all)")


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="name of the sweep (`w2s list`)")
    parser.add_argument("--yes", action="store_true", help="delete it; without this, only show what would go")


LIST = "List the sweeps of the store, newest first: age, state, finished cells, size on disk."
RM = "Delete a sweep, with the stages that no other sweep or submitted job needs."
LIST_MORE = """\
age is since its command last ran. size counts the sweep's folder and all finished stages that it names; stages that
several sweeps share are counted for each. `w2s rm SWEEP` says what deleting one would free."""
RM_MORE = """\
Two steps: `w2s rm SWEEP` shows every stage that would go, with its size, and `w2s rm SWEEP --yes` deletes it. A sweep
of which something runs or is queued is refused. Copies of models and of the hub's data stay where they are, as does
what was mirrored to W&B or TensorBoard. `w2s gc` removes what dead runs left."""
COMMANDS = (
    Command("list", LIST, show_list, _list_arguments, more=LIST_MORE),
    Command("rm", RM, rm, _rm_arguments, more=RM_MORE),
)
