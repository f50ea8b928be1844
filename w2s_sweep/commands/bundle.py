"""`w2s export`: a sweep as one folder or one file, to be mailed or put beside a paper."""

import argparse
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.commands.results import import_own
from w2s_sweep.store import Store

EXPORT = "Put a sweep's report, tables, figures and record into one folder or zip file, to be read elsewhere."
MORE = """\
examples:
  w2s export demo                               demo.zip here: unpack it, open report.html
  w2s export demo --out paper/demo              the same as a folder
  w2s export demo --predictions --out demo.zip  with what every stage predicts, to compute other numbers from

No file names a folder of this machine. Nothing in the store changes.
"""


def export(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.results.bundle import write_bundle  # matplotlib and pyarrow are loaded only where they are needed

    import_own(store, [args.sweep])
    out = Path(args.out or f"{args.sweep}.zip").absolute()
    size = write_bundle(store, args.sweep, out, predictions=args.predictions)
    console.print(f"{out}: {size.files:,} files, {size.bytes / 1e6:,.1f} MB", highlight=False, soft_wrap=True)
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="name of the sweep")
    parser.add_argument("--out", metavar="FOLDER|FILE.zip", help="where to write it (default: SWEEP.zip here)")
    parser.add_argument(
        "--predictions", action="store_true", help="with predictions, summary and settings of each stage of a cell"
    )


COMMANDS = (Command("export", EXPORT, export, _arguments, more=MORE),)
