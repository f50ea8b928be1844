"""`w2s logs`, `cancel`, `retry` and `keep`: the processes and jobs of a sweep."""

import argparse

from rich.console import Console

from w2s_sweep.commands.base import Command
from w2s_sweep.errors import StoreError
from w2s_sweep.launch.logs import find_logs
from w2s_sweep.store import Store


def logs(console: Console, store: Store, args: argparse.Namespace) -> int:
    """The log of a stage, finished or not; of one that is not, what its job printed as well."""
    key, found, hidden = find_logs(store, args.key)
    if not found:
        why = f", and {hidden}" if hidden else ""
        raise StoreError(f"stage {key}: it has written no log yet{why}. `w2s status` shows whether it is queued.")
    for path in found:
        console.print(f"{path}:", style="bold", highlight=False)
        console.print(path.read_text(errors="replace"), highlight=False, markup=False)
    if hidden:
        console.print(hidden, highlight=False, markup=False)
    return 0


def cancel(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.control import cancel as cancel_jobs

    done = cancel_jobs(store, args.sweep)
    if done.process is not None:
        console.print(f"process {done.process} of this machine saves and leaves", highlight=False)
        return 0
    note = f", {done.kept} kept because other sweeps need them: {', '.join(done.needed_by)}" if done.kept else ""
    console.print(f"{done.jobs} jobs cancelled{note}", highlight=False)
    return 0


def retry(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.control import retry as run_again

    results = run_again(store, args.sweep, args.wait)
    return 1 if any(result.failure for result in results) else 0


def keep(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.control import keep as go_on

    results = go_on(store, args.sweep, args.once)
    return 1 if any(result.failure for result in results) else 0


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="key of the stage, or enough leading digits of it")


def _sweep_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="name of the sweep")


def _retry_arguments(parser: argparse.ArgumentParser) -> None:
    _sweep_argument(parser)
    parser.add_argument("--wait", action="store_true", help="follow it until it has ended (SLURM)")


def _keep_arguments(parser: argparse.ArgumentParser) -> None:
    _sweep_argument(parser)
    parser.add_argument("--once", action="store_true", help="submit what there is room for now, and return (for cron)")


RETRY = "Run what is missing of a sweep: failed and lost stages and what needs them."
KEEP = "Go on with a sweep on SLURM until it has ended: later waves, and jobs that were lost."
COMMANDS = (
    Command("logs", "Print the log of a stage.", logs, _logs_arguments),
    Command(
        "cancel",
        "Cancel a sweep's jobs but those that another one needs; here, save and stop it.",
        cancel,
        _sweep_argument,
    ),
    Command("retry", RETRY, retry, _retry_arguments),
    Command("keep", KEEP, keep, _keep_arguments),
)
