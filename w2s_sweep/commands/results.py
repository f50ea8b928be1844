"""`w2s report` and `w2s score`: numbers from stored predictions, or from files of one's own."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.modules import import_possible, recorded
from w2s_sweep.store import Store
from w2s_sweep.store.sharing import owner_of
from w2s_sweep.terminal import harmless


def report(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.results import show  # matplotlib and pyarrow are loaded only where they are needed

    mine = [sweep for sweep in args.sweeps if owner_of(store.read_sweep(sweep)) is None]
    modules = dict.fromkeys(module for sweep in mine for module in recorded(store, sweep))  # never code of others
    for problem in import_possible(list(modules)):
        print(harmless(f"{problem} What it registers is left out."), file=sys.stderr)
    if args.why is not None:
        from w2s_sweep.results.collect import collect
        from w2s_sweep.results.why import explain_pgr

        print(harmless(explain_pgr(store, collect(store, *args.sweeps, test=args.test), args.why)))
        return 0
    own = store.sweep(args.sweeps[0]) if len(args.sweeps) == 1 and args.format is None else None
    own = own / "tests" / args.test if own and args.test else own
    show(console, store, args.sweeps, args.format, Path(args.out).absolute() if args.out else own, args.test)
    return 0


def score(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Needs no store: all that counts is in the files."""
    from w2s_sweep.results.score_files import parse_request, score_files

    print(score_files(parse_request(args.settings)))
    return 0


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweeps", nargs="+", metavar="SWEEP", help="name of a sweep; several are joined and printed")
    parser.add_argument(
        "--format", choices=("csv", "json", "md", "latex"), help="only print the results, in this format"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="write tables, figures and report there (several sweeps: only so)"
    )
    parser.add_argument(
        "--why", type=int, metavar="CELL", help="only lay one PGR open: counts, gaps, covariance, folders"
    )
    parser.add_argument(
        "--test", metavar="NAME", help="of one of the further test sets that the cells have (tests=[...])"
    )


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="KEY=VALUE",
        help="weak=FILE student=FILE ceiling=FILE truth=FILE (FILE,FILE: one a seed), metric=accuracy, group=COLUMN of "
        "the truth, classes=[a,b], missing=refuse|skip, columns.probability=NAME and the like",
    )


REPORT = "Write tables, figures and the HTML report of a sweep from its stored predictions."
SCORE = "The PGR, with its interval, of predictions made elsewhere."
COMMANDS = (
    Command("report", REPORT, report, _report_arguments),
    Command("score", SCORE, score, _score_arguments, needs_store=False),
)
