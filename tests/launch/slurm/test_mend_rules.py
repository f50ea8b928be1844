"""Which tasks of a queue need somebody to let them go, and what they still have to wait for then."""

from datetime import datetime, timedelta

import pytest

from w2s_sweep.launch.slurm.commands import LATER_DAYS, QueuedTask
from w2s_sweep.launch.slurm.mend import _still_there


def task(state, reason, days=None, job="7_0"):
    starts = "N/A" if days is None else (datetime.now() + timedelta(days=days)).isoformat(timespec="seconds")
    return QueuedTask(job, "w2s-0-0", state, reason, "30:00", starts)


@pytest.mark.parametrize(
    ("queued", "stalled"),
    [
        (task("PENDING", "BeginTime", LATER_DAYS), True),
        (task("PENDING", "BeginTime", LATER_DAYS - 1), True),  # found a day later
        (task("PENDING", "Dependency", LATER_DAYS), True),
        (task("PENDING", "None", LATER_DAYS), True),  # a submitter that died a moment ago
        (task("PENDING", "BeginTime", 1 / 720), False),  # queued again, in two minutes
        (task("PENDING", "Dependency"), False),
        (task("PENDING", "Resources", LATER_DAYS), False),  # a full cluster: SLURM says when it expects a place
        (task("RUNNING", "None", -1), False),
        (task("PENDING", "launch failed requeued held"), True),
        (task("PENDING", "JobHeldUser"), False),  # somebody's own wish
    ],
)
def test_only_tasks_that_will_not_start_by_themselves_are_stalled(queued, stalled):
    assert queued.stalled is stalled


def test_a_task_waits_for_those_that_are_still_there_each_in_its_way():
    alive = {"7_1": task("PENDING", "None", job="7_1"), "9": task("RUNNING", "None", job="9")}
    assert _still_there("afterok:7_1,afterany:8_2,afterany:9", alive) == "afterok:7_1,afterany:9"
    assert _still_there("afterok:8_2", alive) == ""
    assert _still_there("", alive) == ""
