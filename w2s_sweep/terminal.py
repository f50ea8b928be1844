"""What is printed to a terminal. Names, logs and failures are other people's text: of it nothing but words may act.

Escape sequences in a log or a label could set the title, write the clipboard or repaint what was printed before, and
marks of direction could make a line read otherwise. They are shown as what they are.
"""

import os
import re
import select
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and marks of direction."""

READER_LEFT = 141
"""Exit status where who read the output has left, as in `w2s ... | head`: that of programs which SIGPIPE ends."""


def while_read(command: Callable[[], int]) -> int:
    """The exit status of a command, which ends without a word when nobody reads what it prints any more.

    What cannot be written for another reason, as on a full disk, and a pipe of somebody else's that broke, is told in
    one line. With standard output or error closed (`w2s ... >&-`), what goes there is for nobody.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the program ends)
    status, broken, ended = 1, False, None
    try:
        status = command()
    except BrokenPipeError:
        broken = True
    except SystemExit as error:  # argparse's, and Hydra's
        ended = error
    except BaseException:
        if _flush():
            _discard(status)  # the exception says more
        raise
    if failure := _flush():
        return _tell(failure)
    if broken and _has_left():
        return _discard(READER_LEFT)
    if broken:
        print("A process that this command talked to has ended. Run the command again.", file=sys.stderr)
    if ended:
        raise ended
    return status


def _flush() -> OSError | None:
    """Write what is buffered for standard output; what kept it from being written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _tell(failure: OSError) -> int:
    if isinstance(failure, BrokenPipeError):
        return _discard(READER_LEFT)
    print(f"standard output: {failure.strerror or failure}. Write it to another place.", file=sys.stderr)
    return _discard(1)


def _has_left() -> bool:
    """Whether standard output is a pipe or socket that nobody reads."""
    try:
        looked = select.poll()
        looked.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in looked.poll(0))
    except (OSError, ValueError):  # no file of the system's, as in a notebook
        return False


def _discard(status: int) -> int:
    """Let what is still buffered go nowhere, else Python's own exit fails on it as well."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def harmless(text: str) -> str:
    """The text with characters that act on a terminal written out, as `\\x1b`; a carriage return begins a line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class SafeConsole(Console):
    """A console on which no text that is printed acts; its own colours and bars do."""

    def __init__(self, **options: Any):
        options.setdefault("soft_wrap", True)
        super().__init__(**options)

    def on_broken_pipe(self) -> NoReturn:
        self.quiet = True
        raise SystemExit(_discard(READER_LEFT))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or not ACTING.search(segment.text):
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)
