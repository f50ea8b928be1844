"""What to type next, once a sweep has ended: three commands that work as they stand."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.site import usual_store
from w2s_sweep.store import Store

if TYPE_CHECKING:
    from w2s_sweep.results.records import Row


def show_next(console: Console, store: Store, name: str, rows: "Sequence[Row]") -> None:
    """Print the commands, each with what it does."""
    word = program(store)
    steps = [(f"{word} {words}", about) for words, about in next_steps(name, rows)]
    width = max(len(command) for command, _ in steps)
    for command, about in steps:  # no table, which would cut a command where the window is narrow
        line = Text.assemble(("next:  ", "dim"), f"{command:<{width}}  {about}")
        console.print(line, soft_wrap=True)


def next_steps(name: str, rows: "Sequence[Row]") -> list[tuple[str, str]]:
    """(words after `w2s`, what they do), what matters most first."""
    quoted, done = shlex.quote(name), [row for row in rows if row.state == "done"]
    steps: list[tuple[str, str]] = []
    if len(done) < len(rows):
        steps += [(f"status {quoted}", "which stages failed, and why"), (f"retry {quoted}", "run what is missing")]
    if done:
        steps.append((f"report {quoted} --why {done[0].cell}", "one PGR laid open: counts, gaps, folders"))
    other = next((row for row in done[1:] if row.seed == done[0].seed and row.student_key != done[0].student_key), None)
    if other is not None:
        steps.append(
            (f"diff {quoted}/{done[0].cell} {quoted}/{other.cell}", "two cells beside each other, with a test")
        )
    return [*steps, ("list", "all sweeps of this store"), (f"status {quoted}", "each stage, its key and log")][:3]


def program(store: Store) -> str:
    """`w2s` in words that work in this shell: by its path where it is not in PATH, with a store that is not the usual.

    Whoever typed `.venv/bin/python launch.py` or `make demo` has no `w2s` in PATH.
    """
    beside = Path(sys.executable).with_name("w2s")
    found = shutil.which("w2s")
    word = "w2s" if found or not beside.is_file() else _short(beside)
    try:
        usual = Path(usual_store()).expanduser().absolute()
    except ConfigError:
        usual = None
    return word if store.root == usual else f"{word} --store {shlex.quote(_short(store.root))}"


def _short(path: Path) -> str:
    """Relative to the current folder where it is below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
