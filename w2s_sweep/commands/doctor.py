"""`w2s doctor`: is this machine ready, and what to do where it is not."""

import argparse
from itertools import chain
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from w2s_sweep.commands.base import Command
from w2s_sweep.store import Store

if TYPE_CHECKING:
    from w2s_sweep.launch.doctor.base import Finding

COLOURS = {"ok": "green", "warn": "yellow", "bad": "bold red"}


def doctor(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.launch.doctor import examine  # loads launchers, which other commands do not need
    from w2s_sweep.launch.doctor.jobs import check_job

    found: list[Finding] = []
    job = check_job(store, args.slurm) if args.slurm is not None else ()
    for one in chain(examine(store), job):
        found.append(one)
        console.print(_line(one), highlight=False)
    bad, warn = (sum(one.level == level for one in found) for level in ("bad", "warn"))
    said = f"{bad} bad, {warn} to know of" if bad + warn else "all is well"
    more = "" if bad else "; `w2s run experiment=demo` shows a whole sweep"
    console.print(f"{said}{more}", highlight=False)
    return 1 if bad else 0


def _line(one: "Finding") -> Text:
    line = Text.assemble((f"{one.level:<5}", COLOURS[one.level]), f"{one.about:<11}{one.said}")
    return line.append(f"\n{'':<16}{one.todo}", style="dim") if one.todo else line


def _arguments(parser: argparse.ArgumentParser) -> None:
    about = "also submit one small job and see what it finds on its node; with settings as those of a sweep"
    parser.add_argument("--slurm", nargs="*", metavar="hydra.launcher.KEY=VALUE", help=about)


ABOUT = "Check Python, torch, GPUs, disk, store, SLURM, W&B and the hub, and say what to do."
MORE = """\
ok: as it should be. warn: works, but not for everything. bad: sweeps fail until it is mended; the exit status is 1.
The store is --store, or the usual one; it need not exist yet. Nothing is changed, and nothing is sent but one request
to the hub; --slurm makes the store and submits a job of some seconds, with a GPU unless hydra.launcher.gpus=0."""
COMMANDS = (Command("doctor", ABOUT, doctor, _arguments, needs_store=False, more=MORE),)
