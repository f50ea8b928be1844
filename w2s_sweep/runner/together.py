"""Claimed stages that train on one frozen base at the same time: each as if it were alone, but for the gradients, which
are computed for all of them together. Whatever becomes of one, the others go on."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.attempt import Steps, log_of, logged, open_log, run_in_steps
from w2s_sweep.runner.companions import forget_companions, tell_companions
from w2s_sweep.runner.context import Beside
from w2s_sweep.runner.ranks import ranks_of
from w2s_sweep.runner.spec import Interrupts, Outcome, Pack
from w2s_sweep.store import Lease

log = logging.getLogger(__name__)

Starts = Callable[[Stage[Kind]], None]
Ends = Callable[[Stage[Kind], Outcome | None], None]


def most_at_once(stages: Sequence[Stage[Kind]]) -> int:
    """How many of the stages, the first ones, can run at the same time: as many as fit the device."""
    if len(stages) == 1 or ranks_of(stages[0]) > 1:
        return 1
    from w2s_sweep.runner.budget import students_that_fit  # loads torch

    try:
        return students_that_fit(stages)
    except Exception as error:  # the boundary: it is said again, and recorded, where the first of them runs
        log.warning("%s: runs alone: %s: %s", stages[0].label, type(error).__name__, error)
        return 1


class Running:
    """A stage on its way, up to where it waits for a gradient."""

    def __init__(self, pack: Pack, stage: Stage[Kind], lease: Lease, stop: Callable[[], bool], students: int):
        self.store, self.stage, self.lease = pack.store, stage, lease
        self.save = threading.Event()
        self.beside = Beside(students)
        self.handler = open_log(log_of(pack, stage))
        self.steps: Steps = run_in_steps(pack, stage, lease, Interrupts(stop, self.save), self.beside)
        self.wanted: Any = None
        """What it waits for."""
        self.began = False

    def go_on(self, value: Any) -> tuple[bool, Outcome | None]:
        """(whether it has ended, how), after it was sent `value`, or was thrown it where this is an exception."""
        self.began = True
        try:
            with logged(self.handler):
                self.wanted = self.steps.throw(value) if isinstance(value, Exception) else self.steps.send(value)
        except StopIteration as end:
            self.close()
            return True, end.value
        return False, None

    def close(self) -> None:
        self.steps.close()
        self.handler.close()
        self.lease.release()


def run_together(
    pack: Pack, claimed: Sequence[tuple[Stage[Kind], Lease]], signals: Interrupts, starts: Starts, ends: Ends
) -> None:
    """Run claimed stages of one kind to their ends; `ends` is told of each at once.

    Raises DeviceLost where the GPU can compute nothing any more: those that have not ended are then tried again, alone.
    """
    new_gradients = claimed[0][0].settings.load_gradients()
    compute = new_gradients()
    there: list[Running] = []
    try:
        there.extend(Running(pack, stage, lease, signals.stop, len(claimed)) for stage, lease in claimed)
        tell_companions(pack.store, [one.stage.key for one in there])
        for one in there:
            starts(one.stage)
        values: list[Any] = [None for _ in there]
        while there:
            left = _go_on(there, values, ends)
            if len(left) < len(there):
                tell_companions(pack.store, [one.stage.key for one in left])
            there = left
            if signals.save.is_set():
                signals.save.clear()
                for one in there:
                    one.save.set()
            values = _compute(there, compute) if there else []
    finally:
        for one in there:
            one.close()


def _go_on(there: Sequence[Running], values: Sequence[Any], ends: Ends) -> list[Running]:
    """Send each what it waited for; returns those that wait again."""
    left: list[Running] = []
    for one, value in zip(there, values, strict=True):
        began = time.monotonic()
        over, outcome = one.go_on(value)
        spent = time.monotonic() - began
        for other in there:
            if other is not one and other.began:
                other.beside.seconds += spent
        if over:
            _end(one, outcome, ends)
        else:
            left.append(one)
    return left


def _end(one: Running, outcome: Outcome | None, ends: Ends) -> None:
    if outcome is not None:  # else it is another process's
        forget_companions(one.store, one.stage.key)
    ends(one.stage, outcome)


def _compute(there: Sequence[Running], compute: Callable[[Sequence[Any]], Sequence[Any]]) -> list[Any]:
    """What each waits for; the time is shared by the share of the work."""
    began = time.monotonic()
    with ExitStack() as logs:  # what is said of common work stands in the log of each
        for one in there:
            logs.enter_context(logged(one.handler))
        answers = compute([one.wanted for one in there])
    spent = time.monotonic() - began
    for one, answer in zip(there, answers, strict=True):
        one.beside.seconds += spent * (1 - answer.share)
    return [answer.value for answer in answers]
