"""`w2s`: run sweeps, look at a store and keep it in order.

`w2s run ...` is `python launch.py ...`: one cell, or with -m a grid; `w2s run --help` has its settings.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from w2s_sweep.commands import COMMANDS
from w2s_sweep.commands.base import Command
from w2s_sweep.errors import StoreError, W2SError, unknown
from w2s_sweep.launch.announce import announce
from w2s_sweep.launch.site import CONF, usual_store
from w2s_sweep.store import Store
from w2s_sweep.terminal import SafeConsole, harmless, while_read
from w2s_sweep.version import __version__

RUN = "Run sweeps, as `python launch.py` does: w2s run -m loss=xent,confidence seed=0,1."
STORE = "folder of finished stages (default: $W2S_STORE, else that of conf/local/default.yaml, else ./runs)"


def parser() -> argparse.ArgumentParser:
    """The grammar of all sub-commands; `--store` stands before or after the sub-command."""
    top = argparse.ArgumentParser(prog="w2s", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument("--store", help=STORE)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help=RUN, description=RUN)  # `main` hands it on before it is parsed
    for command in COMMANDS:
        _add(commands.add_parser, command)
    return top


def _add(add_parser: Callable[..., argparse.ArgumentParser], command: Command) -> None:
    sub = add_parser(
        command.name,
        help=command.about,
        description=command.about,
        epilog=command.more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.arguments(sub)
    sub.add_argument("--store", default=argparse.SUPPRESS, help=STORE)  # absent, it leaves the one before it alone
    sub.set_defaults(run=command, grammar=sub)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    return while_read(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    asked = _run_words(words)
    if asked is not None:  # Hydra's own grammar and flags, which argparse would take apart
        announce(asked)
        from w2s_sweep.launch.main import main as launch

        return launch("w2s run", asked)
    args = _parse(words)
    try:
        return args.run.run(SafeConsole(), _store(args), args)
    except W2SError as error:
        print(harmless(str(error)), file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise  # is an OSError, and none of the store
    except OSError as error:  # of the store, most often: another user's file, a disk that is gone
        what = error.filename or "the store, or standard output"  # an open file's failure does not say whose it is
        print(f"{what}: {error.strerror or error}. Check owner, mode and free space.", file=sys.stderr)
        return 1


def _run_words(words: Sequence[str]) -> list[str] | None:
    """What Hydra gets of `w2s run ...`, with `--store` as the setting that it is; None where it is another command."""
    store, rest = _without_store(words)
    if rest[:1] != ["run"]:
        return None
    if store is None:
        return rest[1:]
    path = str(Path(store).expanduser().absolute())
    quoted = path if re.fullmatch(r"[\w./-]+", path, re.ASCII) else "'" + path.replace("'", "\\'") + "'"
    return [*rest[1:], f"store={quoted}"]


def _without_store(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """`--store`, wherever it stands, and the other words."""
    taken = argparse.ArgumentParser(prog="w2s run", add_help=False, allow_abbrev=False)
    taken.add_argument("--store")
    found, rest = taken.parse_known_args(words)
    return found.store, rest


def _parse(words: Sequence[str]) -> argparse.Namespace:
    if wrong := _unknown_command(words):
        parser().error(wrong)
    args, rest = parser().parse_known_args(words)
    if args.command == "data":  # argparse takes no more overrides after an option
        args.overrides += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        args.grammar.error(f"unrecognized arguments: {' '.join(rest)}")  # with the usage of its command
    return args


def _unknown_command(words: Sequence[str]) -> str:
    """What is wrong with the word where a command stands, if anything is."""
    word = next(iter(_without_store(words)[1]), "-")
    names = ["run", *(command.name for command in COMMANDS)]
    if word.startswith("-") or word in names:
        return ""
    if "=" in word:
        return f"{word!r} is a setting of a run: w2s run {shlex.join(words)}"
    if (CONF / "experiment" / f"{word}.yaml").is_file():
        return f"{word!r} is an experiment: w2s run experiment={word}"
    return unknown("COMMAND", word, names)


def _store(args: argparse.Namespace) -> Store:
    store = Store(Path(args.store or usual_store()).expanduser().absolute())
    if args.run.needs_store and not store.stages.is_dir():
        raise StoreError(
            f"--store: {store.root} is not a store. Name the folder that sweeps were run with (store=...)."
        )
    return store


if __name__ == "__main__":
    sys.exit(main())
