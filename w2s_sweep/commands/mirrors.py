"""`w2s push` and `w2s dashboard`: what a tracking service shows of a sweep."""

import argparse

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.commands.results import import_own
from w2s_sweep.store import Store


def dashboard(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.tracking.wandb.dashboard import dashboard as view

    url = view(store, args.sweep, project=args.project, entity=args.entity, again=args.new)
    console.print(url, highlight=False, markup=False)
    return 0


def push(console: Console, store: Store, args: argparse.Namespace) -> int:
    """Mirror a sweep from its files; no stage runs."""
    from w2s_sweep.launch.conclude import push as mirror
    from w2s_sweep.launch.trackers import tracker_settings

    import_own(store, [args.sweep])
    settings = tracker_settings(args.overrides) if args.overrides else None
    return 0 if mirror(console, store, args.sweep, settings, args.force) else 1


def _dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="name of a sweep that was run with tracker=wandb")
    parser.add_argument("--project", help="W&B project, where it is not that of the sweep's tracker")
    parser.add_argument("--entity", help="W&B user or team (default: that of the tracker, else your own)")
    parser.add_argument("--new", action="store_true", help="make another one where there is one")


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="name of the sweep")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="tracker=wandb tracker.project=mine ...")
    parser.add_argument(
        "--force", action="store_true", help="ask the server about every run, whatever was noted before"
    )


DASHBOARD = "Make a saved view of a mirrored sweep in W&B, and print its address."
PUSH = "Mirror a sweep to its tracker from the files of the store: what the server lacks."
COMMANDS = (
    Command("dashboard", DASHBOARD, dashboard, _dashboard_arguments),
    Command("push", PUSH, push, _push_arguments),
)
