"""How much a model has read, and how long that took."""

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Throughput:
    """Real tokens, padding left out, and the seconds in which they were computed."""

    tokens: int = 0
    texts: int = 0
    squares: int = 0
    """Sum of squared lengths of the texts, which the work of attention follows from."""
    seconds: float = 0.0

    def add(self, lengths: Iterable[int]) -> None:
        """Texts of these numbers of tokens were, or will be, read."""
        for length in lengths:
            self.tokens += length
            self.texts += 1
            self.squares += length * length

    @contextmanager
    def measure(self) -> Generator[None]:
        """Seconds of the body, which has to end with a number that is on the CPU: a GPU works on behind one's back."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
