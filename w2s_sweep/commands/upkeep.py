"""`w2s init`, `verify` and `gc`: a store is made, checked and swept out."""

import argparse
from pathlib import Path

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.plan.stage import digest
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.store.garbage import collect_garbage
from w2s_sweep.store.sharing import init as init_store


def init(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Make a store, for a group where one is named."""
    store = Store(Path(args.folder).expanduser().absolute())
    init_store(store, args.shared)
    shared = f" for the group {args.shared}" if args.shared else ""
    console.print(f"{store.root} is a store{shared}: store={store.root}, or W2S_STORE={store.root}", highlight=False)
    return 0


def verify(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Check every file of every finished stage; damaged stages are set aside so that the next run makes them again."""
    keys = store.keys()
    bad = 0
    for key in keys:
        damage = store.damage(key) or find_misplaced(store, key)
        if damage:
            bad += 1
            where = "left in place" if args.keep else f"set aside in {store.quarantine(key)}"
            console.print(f"{key}: {'; '.join(damage)}: {where}", highlight=False)
    console.print(f"{len(keys)} stages checked, {bad} damaged", highlight=False)
    return 1 if bad else 0


def find_misplaced(store: Store, key: str) -> list[str]:
    """What is wrong with a sound folder under its key: nothing, or that it holds another stage."""
    found = digest(read_json(store.path(key) / "preimage.json"))
    return [] if found == key else [f"its preimage.json is that of stage {found}"]


def gc(console: Console, store: Store, args: argparse.Namespace) -> int:
    found = collect_garbage(store, days=args.days, unreferenced=args.unreferenced, delete=args.delete)
    for item in found:
        console.print(f"{item.megabytes:9.1f} MB  {item.path}  ({item.why})", highlight=False)
    done = "removed" if args.delete else "would be removed; add --delete to do it"
    console.print(f"{len(found)} folders, {sum(f.megabytes for f in found):.1f} MB {done}", highlight=False)
    return 0


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="STORE")
    parser.add_argument("--shared", metavar="GROUP", help="everything in the store is of this group, which can write")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="only report, leave damaged stages where they are")


def _gc_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=float, default=7, help="keep what is younger than this (default: 7)")
    parser.add_argument(
        "--unreferenced", action="store_true", help="also finished stages that no sweep in the store names"
    )
    parser.add_argument("--delete", action="store_true", help="delete instead of listing")


INIT = "Make a store; with --shared GROUP one that all members of a group use."
VERIFY = "Check the digest of every file of every finished stage; set damaged stages aside."
GC = "List (or delete) what no run needs: dead attempts, damaged and unreferenced stages."
COMMANDS = (
    Command("init", INIT, init, _init_arguments, needs_store=False),
    Command("verify", VERIFY, verify, _verify_arguments),
    Command("gc", GC, gc, _gc_arguments),
)
