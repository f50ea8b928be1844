"""A picture of a terminal in which a command really ran: tmux is the terminal, rich draws what stood in it.

    python -m docs.record docs/demo_terminal.svg "make demo" --at "7 done" docs/demo_live.svg

All that the command printed, and with `--at` the screen at the first moment at which a text stood in it. The current
folder is written as `~/w2s_sweep`. Needs tmux.
"""

import argparse
import io
import os
import re
import subprocess
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 124, 44
PROMPT = "$ "
LOOK_SECONDS = 0.25


def tmux(*words: str) -> str:
    """A tmux of its own, so that the user's sessions are left alone."""
    command = ["tmux", "-L", f"record-{os.getpid()}", "-f", os.devnull, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def record(command: str, at: str | None) -> tuple[str, str | None]:
    """All that the command printed, and the screen when `at` stood in it, with colours as escape sequences."""
    shell = ["env", f"PS1={PROMPT}", "bash", "--norc", "--noprofile"]
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), *shell)
    try:
        while plain(tmux("capture-pane", "-e", "-p")).strip() != PROMPT.strip():
            time.sleep(LOOK_SECONDS)
        tmux("send-keys", "-l", command)
        tmux("send-keys", "Enter")
        screen, found = "", None
        while not ended(screen, command):
            time.sleep(LOOK_SECONDS)
            screen = tmux("capture-pane", "-e", "-p")
            if found is None and at is not None and at in plain(screen):
                found = screen
        return tmux("capture-pane", "-e", "-p", "-S", "-"), found
    finally:
        tmux("kill-server")


def ended(screen: str, command: str) -> bool:
    """Whether the shell asks for the next command."""
    lines = plain(screen).rstrip("\n ").splitlines()
    return len(lines) > 1 and lines[-1] == PROMPT.strip() and f"{PROMPT}{command}" != lines[-1]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def draw(screen: str, title: str, folder: Path | None = None) -> str:
    """The SVG of a terminal. `folder`: written as `~/w2s_sweep`."""
    lines = screen.rstrip("\n ").removesuffix(PROMPT.strip()).rstrip().splitlines()
    text = "\n".join(lines) if folder is None else "\n".join(lines).replace(str(folder), "~/w2s_sweep")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text), soft_wrap=False)
    return console.export_svg(title=title, unique_id="w2s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("command")
    parser.add_argument("--at", nargs=2, metavar=("TEXT", "OUT"), help="the screen when the text first stands in it")
    args = parser.parse_args()
    text, path = args.at or (None, None)
    whole, moment = record(args.command, text)
    args.out.write_text(draw(whole, args.command, Path.cwd()), encoding="utf-8")
    if path is not None and moment is None:
        raise SystemExit(f"--at: {text!r} never stood in the terminal, so there is no {path}.")
    if path is not None and moment is not None:
        Path(path).write_text(draw(moment, args.command, Path.cwd()), encoding="utf-8")


if __name__ == "__main__":
    main()
