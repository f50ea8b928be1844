"""`w2s status`: what each stage of a sweep is doing."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live

from w2s_sweep.commands.base import Command
from w2s_sweep.errors import StoreError
from w2s_sweep.launch.status import StageStatus, rarely, stage_states, sweep_status
from w2s_sweep.store import Store
from w2s_sweep.terminal import harmless

QUEUE_SECONDS = 10.0
"""Least time between two looks of `status --watch` at SLURM's queue, for all sweeps together."""


def status(console: Console, store: Store, args: argparse.Namespace) -> int:
    names = [args.sweep] if args.sweep else readable(store, store.sweeps()[: args.last])
    if not names:
        console.print(f"no sweeps in {store.root}")
    look = rarely(0.0 if args.watch is None else QUEUE_SECONDS)
    states = {name: stage_states(store, name, look) for name in names}
    if args.watch is None:
        console.print(_show_states(store, states, brief=not args.sweep))
        return 0
    with Live(_show_states(store, states), console=console, auto_refresh=False) as live:
        while any(s.alive for found in states.values() for s in found):
            time.sleep(args.watch)
            states = {name: stage_states(store, name, look) for name in names}
            live.update(_show_states(store, states), refresh=True)
    return 0


def readable(store: Store, names: Sequence[str]) -> list[str]:
    """The sweeps whose records can be read; one that cannot be must not hide the others."""
    found: list[str] = []
    for name in names:
        try:
            store.read_sweep(name)
            found.append(name)
        except StoreError as error:
            print(harmless(str(error)), file=sys.stderr)
    return found


def _show_states(store: Store, states: Mapping[str, Sequence[StageStatus]], *, brief: bool = False) -> Group:
    return Group(*(sweep_status(store, name, found, brief=brief) for name, found in states.items()))


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="name of the sweep; without it, the newest ones")
    parser.add_argument("--last", type=int, default=3, help="how many sweeps to show without a name (default: 3)")
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="show it again and again (default: every 2 s)",
    )


COMMANDS = (
    Command("status", "What each stage of a sweep is doing, and why failed ones failed.", status, _status_arguments),
)
