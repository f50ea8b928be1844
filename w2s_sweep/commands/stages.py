"""`w2s explain`: what a stage's key is the hash of."""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from w2s_sweep.commands.base import Command
from w2s_sweep.errors import ConfigError
from w2s_sweep.plan.stage import differences
from w2s_sweep.store import Store


def explain(console: Console, store: Store, args: argparse.Namespace) -> int:
    """What was hashed into a key; with two keys, where the preimages differ."""
    if len(args.keys) > 2:
        raise ConfigError([f"KEY: {len(args.keys)} of them. Allowed: one to explain, or two to compare."])
    preimages = [(key, store.preimage(key)) for key in map(store.find_any, args.keys)]
    if len(preimages) == 1:
        console.print_json(data=preimages[0][1])
        return 0
    _compare(console, *preimages)
    return 0


def _compare(console: Console, left: tuple[str, dict[str, Any]], right: tuple[str, dict[str, Any]]) -> None:
    rows = differences(left[1], right[1])
    table = Table("setting", left[0], right[0])
    for path, one, other in rows:
        table.add_row(path, str(one), str(other))
    console.print(table if rows else "the two keys have the same preimage")


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", nargs="+", metavar="KEY", help="one or two keys, or enough leading digits of them")


COMMANDS = (
    Command("explain", "Show what was hashed into a key, or how two keys differ.", explain, _explain_arguments),
)
