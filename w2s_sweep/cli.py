"""`w2s`: run sweeps, look at a store and keep it in order.

`w2s run ...` is `python launch.py ...`: one cell, or with -m a grid; `w2s run --help` has its settings.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from w2s_sweep.errors import StoreError, W2SError
from w2s_sweep.launch.logs import find_logs
from w2s_sweep.launch.site import usual_store
from w2s_sweep.launch.status import StageStatus, rarely, stage_states, sweep_status
from w2s_sweep.modules import import_possible, recorded
from w2s_sweep.plan.stage import differences, digest
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.store.garbage import collect_garbage
from w2s_sweep.store.sharing import init as init_store
from w2s_sweep.store.sharing import owner_of
from w2s_sweep.terminal import SafeConsole, harmless
from w2s_sweep.version import __version__

QUEUE_SECONDS = 10.0
"""Least time between two looks of `status --watch` at SLURM's queue, for all sweeps together."""
Command = Callable[[Console, Store, argparse.Namespace], int]


def status(console: Console, store: Store, args: argparse.Namespace) -> int:
    names = [args.sweep] if args.sweep else _readable(store, store.sweeps()[: args.last])
    if not names:
        console.print(f"no sweeps in {store.root}")
    look = rarely(0.0 if args.watch is None else QUEUE_SECONDS)
    states = {name: stage_states(store, name, look) for name in names}
    if args.watch is None:
        console.print(_shown(store, states, brief=not args.sweep))
        return 0
    with Live(_shown(store, states), console=console, auto_refresh=False) as live:
        while any(s.alive for found in states.values() for s in found):
            time.sleep(args.watch)
            states = {name: stage_states(store, name, look) for name in names}
            live.update(_shown(store, states), refresh=True)
    return 0


def _readable(store: Store, names: Sequence[str]) -> list[str]:
    """The sweeps whose records can be read; one that cannot be must not hide the others."""
    found: list[str] = []
    for name in names:
        try:
            store.read_sweep(name)
            found.append(name)
        except StoreError as error:
            print(harmless(str(error)), file=sys.stderr)
    return found


def _shown(store: Store, states: Mapping[str, Sequence[StageStatus]], *, brief: bool = False) -> Group:
    return Group(*(sweep_status(store, name, found, brief=brief) for name, found in states.items()))


def logs(console: Console, store: Store, args: argparse.Namespace) -> int:
    """The log of a stage, finished or not; of one that is not, what its job printed as well."""
    key, found = find_logs(store, args.key)
    if not found:
        raise StoreError(f"stage {key}: it has written no log yet. `w2s status` shows whether it is queued.")
    for path in found:
        console.print(f"{path}:", style="bold", highlight=False)
        console.print(path.read_text(errors="replace"), highlight=False, markup=False)
    return 0


def cancel(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.control import cancel as cancel_jobs

    done = cancel_jobs(store, args.sweep)
    note = f", {done.kept} kept because other sweeps need them: {', '.join(done.needed_by)}" if done.kept else ""
    console.print(f"{done.jobs} jobs cancelled{note}", highlight=False)
    return 0


def retry(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.control import retry as run_again

    results = run_again(store, args.sweep, args.wait)
    return 1 if any(result.failure for result in results) else 0


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


def export_model(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.export.model import export_model as export  # torch and peft are loaded only where they are needed

    told = export(store, args.stage, Path(args.folder).expanduser().absolute(), whole=args.whole)
    console.print(told, highlight=False, markup=False)
    return 0


def predict(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.export.predict import predict_file

    told = predict_file(
        store,
        args.stage,
        Path(args.file).expanduser(),
        Path(args.out).expanduser(),
        text=args.text,
        other=args.text_other,
        name=args.id,
        progress=lambda done, total: print(f"{done:,} of {total:,} texts", file=sys.stderr),
    )
    console.print(told, highlight=False, markup=False)
    return 0


def dashboard(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.tracking.wandb.dashboard import dashboard as view

    url = view(store, args.sweep, project=args.project, entity=args.entity, again=args.new)
    console.print(url, highlight=False, markup=False)
    return 0


def push(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Mirror a sweep from its files; no stage runs."""
    from w2s_sweep.launch.conclude import push as mirror
    from w2s_sweep.launch.trackers import tracker_settings

    for problem in import_possible(list(recorded(store, args.sweep))):
        print(f"{problem} What it registers is left out.", file=sys.stderr)
    settings = tracker_settings(args.overrides) if args.overrides else None
    return 0 if mirror(console, store, args.sweep, settings, args.force) else 1


def explain(console: Console, store: Store, args: argparse.Namespace) -> int:
    """What was hashed into a key; with two keys, where the preimages differ."""
    keys = [store.find(prefix) for prefix in args.keys]
    if len(keys) == 1:
        console.print_json(data=store.preimage(keys[0]))
        return 0
    rows = differences(store.preimage(keys[0]), store.preimage(keys[1]))
    table = Table("setting", keys[0], keys[1])
    for path, left, right in rows:
        table.add_row(path, str(left), str(right))
    console.print(table if rows else "the two keys have the same preimage")
    return 0


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


def verify(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Check every file of every finished stage; damaged stages are set aside so that the next run makes them again."""
    keys = store.keys()
    bad = 0
    for key in keys:
        damage = store.damage(key) or misplaced(store, key)
        if damage:
            bad += 1
            where = "left in place" if args.keep else f"set aside in {store.quarantine(key)}"
            console.print(f"{key}: {'; '.join(damage)}: {where}", highlight=False)
    console.print(f"{len(keys)} stages checked, {bad} damaged", highlight=False)
    return 1 if bad else 0


def misplaced(store: Store, key: str) -> list[str]:
    """What is wrong with a sound folder under its key: nothing, or that it holds another stage."""
    found = digest(read_json(store.path(key) / "preimage.json"))
    return [] if found == key else [f"its preimage.json is that of stage {found}"]


def init(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Make a store, for a group where one is named."""
    store = Store(Path(args.folder).expanduser().absolute())
    init_store(store, args.shared)
    shared = f" for the group {args.shared}" if args.shared else ""
    console.print(f"{store.root} is a store{shared}: store={store.root}, or W2S_STORE={store.root}", highlight=False)
    return 0


def gc(console: Console, store: Store, args: argparse.Namespace) -> int:
    found = collect_garbage(store, days=args.days, unreferenced=args.unreferenced, delete=args.delete)
    for item in found:
        console.print(f"{item.megabytes:9.1f} MB  {item.path}  ({item.why})", highlight=False)
    done = "removed" if args.delete else "would be removed; add --delete to do it"
    console.print(f"{len(found)} folders, {sum(f.megabytes for f in found):.1f} MB {done}", highlight=False)
    return 0


def unreached(console: Console, store: Store, args: argparse.Namespace) -> int:
    """For a command that `main` hands on before it is parsed, and that `--help` shows all the same."""
    raise AssertionError(args.command)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="w2s", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument(
        "--store",
        help="folder of finished stages (default: $W2S_STORE, else that of conf/local/default.yaml, else ./runs)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = add("status", status, "What each stage of a sweep is doing, and why failed ones failed.")
    sub.add_argument("sweep", nargs="?", help="name of the sweep; without it, the newest ones")
    sub.add_argument("--last", type=int, default=3, help="how many sweeps to show without a name (default: 3)")
    sub.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="show it again and again (default: every 2 s)",
    )
    sub = add("logs", logs, "Print the log of a stage.")
    sub.add_argument("key", metavar="KEY", help="key of the stage, or enough leading digits of it")
    sub = add("cancel", cancel, "Cancel the SLURM jobs of a sweep, but those that another sweep needs.")
    sub.add_argument("sweep", help="name of the sweep")
    sub = add("retry", retry, "Run what is missing of a sweep: failed and lost stages and what needs them.")
    sub.add_argument("sweep", help="name of the sweep")
    sub.add_argument("--wait", action="store_true", help="follow it until it has ended (SLURM)")
    sub = add("report", report, "Write tables, figures and the HTML report of a sweep from its stored predictions.")
    sub.add_argument("sweeps", nargs="+", metavar="SWEEP", help="name of a sweep; several are joined and printed")
    sub.add_argument("--format", choices=("csv", "json", "md", "latex"), help="only print the results, in this format")
    sub.add_argument("--out", metavar="FOLDER", help="write tables, figures and report there (several sweeps: only so)")
    sub.add_argument("--why", type=int, metavar="CELL", help="only lay one PGR open: counts, gaps, covariance, folders")
    sub.add_argument("--test", metavar="NAME", help="of one of the further test sets that the cells have (tests=[...])")
    sub = add("score", score, "The PGR, with its interval, of predictions made elsewhere.")
    sub.add_argument(
        "settings",
        nargs="+",
        metavar="KEY=VALUE",
        help="weak=FILE student=FILE ceiling=FILE truth=FILE (FILE,FILE: one a seed), metric=accuracy, group=COLUMN of "
        "the truth, classes=[a,b], missing=refuse|skip, columns.probability=NAME and the like",
    )
    what = "KEY of a trained stage, or leading digits of it, or SWEEP/CELL[:ROLE], such as demo/0:ceiling"
    sub = add("export-model", export_model, "Write a trained model as a folder that transformers and PEFT load.")
    sub.add_argument("stage", metavar="STAGE", help=what)
    sub.add_argument("folder", metavar="FOLDER", help="a folder that is not there yet")
    sub.add_argument("--whole", action="store_true", help="with all weights: adapters merged, the model below a probe")
    sub = add("predict", predict, "Label the texts of a data file with a trained model.")
    sub.add_argument("stage", metavar="STAGE", help=what)
    sub.add_argument("file", metavar="FILE", help="texts as `w2s data` shows them: .jsonl, .json, .csv, .tsv, .parquet")
    sub.add_argument("--out", metavar="FILE", required=True, help="what is written: .jsonl, .parquet or .csv")
    sub.add_argument("--text", metavar="COLUMN", default="text", help="column of the texts (default: text)")
    sub.add_argument(
        "--text-other",
        metavar="COLUMN",
        default="text_other",
        help="of the second texts of pairs (default: text_other)",
    )
    sub.add_argument("--id", metavar="COLUMN", default="id", help="column of ids, where there is one (default: id)")
    sub = add("dashboard", dashboard, "Make a saved view of a mirrored sweep in W&B, and print its address.")
    sub.add_argument("sweep", help="name of a sweep that was run with tracker=wandb")
    sub.add_argument("--project", help="W&B project, where it is not that of the sweep's tracker")
    sub.add_argument("--entity", help="W&B user or team (default: that of the tracker, else your own)")
    sub.add_argument("--new", action="store_true", help="make another one where there is one")
    sub = add("push", push, "Mirror a sweep to its tracker from the files of the store: what the server lacks.")
    sub.add_argument("sweep", help="name of the sweep")
    sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="tracker=wandb tracker.project=mine ...")
    sub.add_argument("--force", action="store_true", help="ask the server about every run, whatever was noted before")
    sub = add("explain", explain, "Show what was hashed into a key, or how two keys differ.")
    sub.add_argument("keys", nargs="+", metavar="KEY", help="one or two keys, or enough leading digits of them")
    sub = add("data", data, "Show a task's examples as a model sees them: counts, lengths, leak scan, some rows.")
    sub.add_argument("task", help="a choice of the group `dataset`, such as boolq")
    sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for launch.py: dataset.path=FOLDER ...")
    sub.add_argument("--rows", type=int, default=2, help="examples of every class to show (default: 2)")
    sub.add_argument(
        "--tokens",
        action="store_true",
        help="lengths in tokens, and rows as the strong model reads (model@strong=NAME)",
    )
    sub.add_argument("--width", type=int, default=300, help="characters shown of a text; 0 is all (default: 300)")
    sub.add_argument("--out", metavar="FILE", help="also write id, split and texts of all examples there, as JSONL")
    add("run", unreached, "Run sweeps, as `python launch.py` does: w2s run -m loss=xent,confidence seed=0,1.")
    add("tasks", tasks, "Print the list of all tasks with an example of each, as Markdown.")
    add("columns", columns, "Print what every column of every table is, as Markdown.")
    sub = add("init", init, "Make a store; with --shared GROUP one that all members of a group use.")
    sub.add_argument("folder", metavar="STORE")
    sub.add_argument("--shared", metavar="GROUP", help="everything in the store is of this group, which can write")
    sub = add("verify", verify, "Check the digest of every file of every finished stage; set damaged stages aside.")
    sub.add_argument("--keep", action="store_true", help="only report, leave damaged stages where they are")
    sub = add("gc", gc, "List (or delete) what no run needs: dead attempts, damaged and unreferenced stages.")
    sub.add_argument("--days", type=float, default=7, help="keep what is younger than this (default: 7)")
    sub.add_argument(
        "--unreferenced", action="store_true", help="also finished stages that no sweep in the store names"
    )
    sub.add_argument("--delete", action="store_true", help="delete instead of listing")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:  # Hydra's own grammar and flags, which argparse would take apart
        from w2s_sweep.launch.main import main as launch

        return launch("w2s run", words[1:])
    args, rest = parser().parse_known_args(words)
    if args.command == "run":
        parser().error("run takes the store as a setting: w2s run store=FOLDER ...")
    if args.command == "data":  # argparse takes no more overrides after an option
        args.overrides += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if args.command == "explain" and len(args.keys) > 2:
        parser().error("explain takes one key or two")
    console = SafeConsole()
    try:
        store = Store(Path(args.store or usual_store()).expanduser().absolute())
        if args.command not in ("init", "data", "score", "tasks", "columns") and not store.stages.is_dir():
            raise StoreError(
                f"--store: {store.root} is not a store. Name the folder that sweeps were run with (store=...)."
            )
        return args.run(console, store, args)
    except W2SError as error:
        print(harmless(str(error)), file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:  # of the store, most often: another user's file, a disk that is gone
        print(f"{error.filename or 'store'}: {error.strerror or error}. Check its owner and mode.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
