"""When a stage saves: as often as was asked for, and less often where that would take too much of its time."""

import threading

import pytest

from w2s_sweep.runner import context as module
from w2s_sweep.runner.context import Context, RunSettings


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def begin(clock, seconds):
    run = RunSettings(checkpoint_seconds=seconds)
    return Context(None, None, None, run, lambda: False, threading.Event(), started=clock.now, _saved=clock.now)


@pytest.mark.parametrize(("cost", "interval"), [(0.5, 10), (1.5, 50), (30.0, 1000)])
def test_checkpoints_take_three_percent_of_the_time_at_most(clock, cost, interval):
    context = begin(clock, 10)
    clock.now += 10
    assert context.checkpoint_due()
    clock.now += cost
    context.on_save(1)
    clock.now += interval - cost - 1
    assert not context.checkpoint_due()
    clock.now += 1
    assert context.checkpoint_due()


def test_a_checkpoint_that_was_requested_is_due_whatever_it_costs(clock):
    context = begin(clock, 10)
    clock.now += 10
    assert context.checkpoint_due()
    clock.now += 100
    context.on_save(1)
    context.save.set()
    assert context.checkpoint_due()
    assert not context.checkpoint_due()
