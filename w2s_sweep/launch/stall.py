"""Whether a stage that runs gets anywhere: what it writes tells, since its claim beats on while it hangs."""

import threading
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from w2s_sweep.runner.companions import companions_of
from w2s_sweep.runner.context import seconds_so_far
from w2s_sweep.store import Store, read_claim
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import read_json

STALLED = 74
"""Exit status of a task that was ended for it (requeue.sh)."""
LEAST_SECONDS = 600.0
"""Silence that never means anything: a large model is loaded, a checkpoint is written, a first batch is compiled."""
INTERVALS = 5.0
"""So many of its usual intervals between two steps may a stage be silent."""


class Silence:
    """One look at running stages, `now` on the file system's clock: each folder is walked once, however many wait for
    what is written there."""

    def __init__(self, store: Store, now: float):
        self.now, self._store = now, store
        self._last_word = cache(self._find_last_word)
        self._progress = cache(self._read_progress)

    def seconds(self, key: str) -> float:
        """Since when a stage has written nothing. 0 where nothing is there yet.

        Its log counts as well as its progress: each run of a stage begins there. So does what is written by those that
        train at the same time: a stage waits while another of them evaluates.
        """
        return max(0.0, self.now - max(map(self._last_word, self._all_of(key))))

    def stalled(self, key: str) -> float:
        """Seconds of silence of a stage that has stalled; 0 for any other."""
        silent = self.seconds(key)
        if silent <= LEAST_SECONDS:
            return 0.0
        return silent if silent > patience(*map(self._progress, self._all_of(key))) else 0.0

    def _all_of(self, key: str) -> Collection[str]:
        """The stages of which one works while the others wait."""
        return {key, *companions_of(self._store, key)}

    def _read_progress(self, key: str) -> Mapping[str, Any] | None:
        return read_json(self._store.work(key) / "progress.json")

    def _find_last_word(self, key: str) -> float:
        try:
            return max((path.stat().st_mtime for path in self._store.work(key).rglob("*")), default=self.now)
        except OSError:  # it has ended meanwhile
            return self.now


def patience(*progress: Mapping[str, Any] | None) -> float:
    """Seconds of silence after which a stage has stalled, from how long its steps took so far.

    `progress`: of all stages that train at the same time, whose seconds are each one's share of the time.
    """
    return max(LEAST_SECONDS, INTERVALS * sum(map(_seconds_a_step, progress)))


def _seconds_a_step(progress: Mapping[str, Any] | None) -> float:
    step = (progress or {}).get("step", 0)
    return seconds_so_far(progress or {}) / step if step else 0.0


def watch(store: Store, keys: Collection[str], job: str | None, minutes: float, end: Callable[[str], None]) -> None:
    """Call `end` with the key once a stage that `job` runs has been silent for so many minutes; in a thread."""

    def look() -> None:
        tick, before, key = threading.Event(), None, silent_stage(store, keys, job, minutes)
        # At two looks: a stage that begins again has not written anything for a moment.
        while key is None or key != before:
            tick.wait(min(60.0, 10 * minutes))
            before, key = key, silent_stage(store, keys, job, minutes)
        end(key)

    threading.Thread(target=look, name="stall", daemon=True).start()


def silent_stage(store: Store, keys: Collection[str], job: str | None, minutes: float) -> str | None:
    """One of the stages that `job` runs and that has been silent for longer than so many minutes."""
    silence = Silence(store, file_system_now(store.root / "claims"))
    for key in keys:
        claim = read_claim(store, key, silence.now)
        ours = claim is not None and claim.alive and claim.record.get("job") == job
        if ours and silence.seconds(key) > 60 * minutes:
            return key
    return None
