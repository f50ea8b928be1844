"""`w2s data`, `tasks` and `columns`: what a task's examples are, and the pages of docs/ that are written by code."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.store import Store


def data(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.examples import describe_task

    overrides = [f"dataset={args.task}", *args.overrides]
    out = Path(args.out) if args.out else None
    text = describe_task(overrides, args.rows, args.tokens, args.width, out)
    console.print(text, highlight=False, markup=False)
    return 0


def tasks(console: Console, store: Store, args: argparse.Namespace) -> int:
    """docs/TASKS.md, as plain text for a redirection."""
    from w2s_sweep.data.catalogue import catalogue
    from w2s_sweep.launch.site import CONF

    sys.stdout.write(catalogue(CONF))
    return 0


def columns(console: Console, store: Store, args: argparse.Namespace) -> int:
    """docs/COLUMNS.md, as plain text for a redirection."""
    from w2s_sweep.results.tables.page import page

    sys.stdout.write(page())
    return 0


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="a choice of the group `dataset`, such as boolq")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for launch.py: dataset.path=FOLDER ...")
    parser.add_argument("--rows", type=int, default=2, help="examples of every class to show (default: 2)")
    parser.add_argument(
        "--tokens",
        action="store_true",
        help="lengths in tokens, and rows as the strong model reads (model@strong=NAME)",
    )
    parser.add_argument("--width", type=int, default=300, help="characters shown of a text; 0 is all (default: 300)")
    parser.add_argument("--out", metavar="FILE", help="also write id, split and texts of all examples there, as JSONL")


DATA = "Show a task's examples as a model sees them: counts, lengths, leak scan, some rows."
COLUMNS = "Print what every column of every table is, as Markdown."
COMMANDS = (
    Command("data", DATA, data, _data_arguments, needs_store=False),
    Command("tasks", "Print the list of all tasks with an example of each, as Markdown.", tasks, needs_store=False),
    Command("columns", COLUMNS, columns, needs_store=False),
)
