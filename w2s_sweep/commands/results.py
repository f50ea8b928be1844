"""`w2s report` and `w2s score`: numbers from stored predictions, or from files of one's own."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.errors import StoreError
from w2s_sweep.launch.status import stage_states
from w2s_sweep.modules import import_possible, read_recorded
from w2s_sweep.store import Store
from w2s_sweep.store.sharing import owner_of
from w2s_sweep.terminal import harmless


def import_own(store: Store, sweeps: Sequence[str]) -> None:
    """Import what the user's own sweeps were run with, as far as that is possible; never code of others."""
    mine = [sweep for sweep in sweeps if owner_of(store.read_sweep(sweep)) is None]
    modules = dict.fromkeys(module for sweep in mine for module in read_recorded(store, sweep))
    for problem in import_possible(list(modules)):
        print(harmless(f"{problem} What it registers is left out."), file=sys.stderr)


def report(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.results import show  # matplotlib and pyarrow are loaded only where they are needed

    import_own(store, args.sweeps)
    if args.why is not None:
        from w2s_sweep.results.collect import collect
        from w2s_sweep.results.why import explain_pgr

        print(harmless(explain_pgr(store, collect(store, *args.sweeps, test=args.test), args.why)))
        return 0
    if args.baselines is not None:
        from w2s_sweep.results.students import compare_sweeps

        print(harmless(compare_sweeps(store, args.sweeps, Path(args.baselines), args.test)))
        return 0
    own = store.sweep(args.sweeps[0]) if len(args.sweeps) == 1 and args.format is None else None
    own = own / "tests" / args.test if own and args.test else own
    folder = Path(args.out).absolute() if args.out else own
    if args.style is not None:
        return _draw(console, store, args, folder)
    show(console, store, args.sweeps, args.format, folder, args.test, live=is_running(store, args.sweeps))
    return 0


def _draw(console: Console, store: Store, args: argparse.Namespace, folder: Path | None) -> int:
    """Figures for a paper or a talk, in a folder of their own; table and report stay as they are."""
    from w2s_sweep.results import draw
    from w2s_sweep.results.figures.look import choose

    if folder is None:
        raise StoreError("--style: several sweeps have no folder in common. Say where the figures go: --out FOLDER.")
    folder = folder if args.out else folder / "figures" / f"{args.style}-{args.width}"
    draw(console, store, args.sweeps, choose(args.style, args.width, args.title), folder, args.test)
    return 0


def is_running(store: Store, sweeps: Sequence[str]) -> bool:
    """Whether a stage of one of the sweeps runs or waits in a queue."""
    return any(state.alive for sweep in sweeps for state in stage_states(store, sweep))


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
        "--baselines",
        metavar="FILE",
        help="only print the students against scores of a weak supervisor, a ceiling and methods in a JSON file",
    )
    parser.add_argument(
        "--test", metavar="NAME", help="of one of the further test sets that the cells have (tests=[...])"
    )
    parser.add_argument("--style", choices=("paper", "talk"), help="only draw the figures, for a paper or a talk")
    parser.add_argument("--width", choices=("column", "page"), default="page", help="of these (default: page)")
    parser.add_argument(
        "--title",
        action=argparse.BooleanOptionalAction,
        help="title and note in these figures (default: in those of a talk; captions.md has them in any case)",
    )


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="KEY=VALUE",
        help="weak=FILE student=FILE ceiling=FILE truth=FILE (FILE,FILE: one a seed), metric=accuracy, group=COLUMN of "
        "the truth, classes=[a,b], missing=refuse|skip, columns.probability=NAME and the like; baselines=FILE "
        "(task=NAME) instead of weak and ceiling: their scores over seeds, as JSON",
    )


REPORT = "Write tables, figures and the HTML report of a sweep from its stored predictions."
SCORE = "The PGR, with its interval, of predictions made elsewhere."
COMMANDS = (
    Command("report", REPORT, report, _report_arguments),
    Command("score", SCORE, score, _score_arguments, needs_store=False),
)
