"""What is printed to a terminal. Names, logs and failures are other people's text: of it nothing but words may act.

Escape sequences in a log or a label could set the title, write the clipboard or repaint what was printed before, and
marks of direction could make a line read otherwise. They are shown as what they are.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and marks of direction."""

READER_LEFT = 141
"""Exit status where who read the output has left, as in `w2s ... | head`: that of programs which SIGPIPE ends."""


def while_read(command: Callable[[], int]) -> int:
    """The exit status of a command, which ends without a word when nobody reads what it prints any more."""
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        return _leave()


def _leave() -> int:
    # What is still buffered goes nowhere, else Python's own exit fails on it as well.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_LEFT


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
        raise SystemExit(_leave())

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or not ACTING.search(segment.text):
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)
