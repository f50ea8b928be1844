"""Fewer jobs at once than a sweep has tasks: waves, whoever submits the next one, and whatever is lost meanwhile."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.status import stage_states
from w2s_sweep.store.files import read_json

ALL = 6
"""Stages of two cells."""


def grid(sweeps):
    return [sweeps.cell(seed=seed) for seed in (0, 1)]


def keep(sweeps, *words):
    return w2s(["--store", str(sweeps.store.root), "keep", "sweep", "--once", *words])


def lose(sweeps, cluster, key):
    """Its job dies without a word."""
    job = sweeps.jobs()[key]
    cluster.start(job)
    cluster.end(job, "FAILED", "0:9")


@pytest.fixture
def wait(sweeps, monkeypatch, capsys):
    """Submit two cells and wait for them, while each pause lets something happen; returns what was printed."""

    def run(*happens: Callable[[], object], **settings) -> str:
        left = list(happens)

        def pause(seconds):
            assert left, "it waits although nothing will happen any more"
            left.pop(0)()

        clock = SimpleNamespace(sleep=pause, monotonic=time.monotonic)
        monkeypatch.setattr("w2s_sweep.launch.slurm.follow.time", clock)
        for name in ("QUEUE_SECONDS", "WAVE_SECONDS"):
            monkeypatch.setattr(f"w2s_sweep.launch.slurm.follow.{name}", 0.0)
        capsys.readouterr()
        sweeps.submit(*grid(sweeps), wait=True, **settings)
        assert not left
        return capsys.readouterr().out

    return run


def test_no_more_jobs_than_said_are_in_the_queue_at_once(sweeps, cluster):
    sweeps.submit(*grid(sweeps), max_submit=4)
    ran = []
    while cluster.queue:
        assert len(cluster.queue) <= 4
        ran += sweeps.run(most=3)
        assert keep(sweeps) == 0
    assert len(ran) == len(set(ran)) == ALL


@pytest.mark.parametrize(("limit", "accounting", "taken"), [(4, True, 4), (4, False, 3)])
def test_what_sbatch_refuses_is_found_out_and_remembered(sweeps, cluster, capsys, limit, accounting, taken):
    """Accounting names the limit; without it, half as many are tried."""
    cluster.controller.max_submit, cluster.controller.accounting = limit, accounting
    sweeps.submit(*grid(sweeps))
    assert len(cluster.queue) == taken
    assert f"{taken} of 6 tasks were submitted: no more than {taken} may be in the queue" in capsys.readouterr().out
    tries = len(cluster.calls("sbatch"))
    ran = sweeps.run(most=1)
    assert keep(sweeps) == 0
    assert len(cluster.calls("sbatch")) == tries + 1
    while cluster.queue:
        ran += sweeps.run()
        keep(sweeps)
    assert len(ran) == len(set(ran)) == ALL


def test_jobs_of_other_sweeps_count(sweeps, cluster, capsys):
    sweeps.submit(sweeps.cell(seed=7), name="other")
    sweeps.submit(*grid(sweeps), max_submit=3)
    assert len(cluster.queue) == 3
    assert "0 of 6 tasks were submitted" in capsys.readouterr().out
    sweeps.run()
    keep(sweeps)
    assert len(cluster.queue) == 3


def test_while_there_is_no_room_the_next_look_asks_for_the_queue_alone(sweeps, cluster, capsys):
    sweeps.submit(*grid(sweeps), max_submit=2)
    before, waiting = len(cluster.controller.calls), read_json(sweeps.store.sweep("sweep") / "waves.json")
    capsys.readouterr()
    keep(sweeps)
    assert not [call for call in cluster.controller.calls[before:] if {"node", "partition"} & {*call.arguments}]
    assert "arrays" not in capsys.readouterr().out
    assert read_json(sweeps.store.sweep("sweep") / "waves.json") == waiting
    assert len(cluster.queue) == 2


def test_a_limit_below_one_task_is_an_error(sweeps, cluster):
    cluster.controller.max_submit = 0
    with pytest.raises(LaunchError, match="AssocMaxSubmitJobLimit"):
        sweeps.submit(*grid(sweeps))
    assert cluster.queue == {}


def test_status_says_what_waits_for_a_later_wave(sweeps, cluster):
    sweeps.submit(*grid(sweeps), max_submit=2)
    notes = [state.note for state in stage_states(sweeps.store, "sweep") if state.state == "waiting"]
    assert notes == ["for a later wave: `w2s keep sweep` submits it when there is room"] * 4
    sweeps.run()
    sweeps.submit(*grid(sweeps))
    assert all("later wave" not in state.note for state in stage_states(sweeps.store, "sweep"))


def test_whoever_waits_submits_the_waves(sweeps, cluster, wait):
    out = wait(*[sweeps.run] * 3, max_submit=2)
    assert [line.split()[0] for line in out.splitlines() if "/6" in line] == ["done"] * ALL
    assert cluster.queue == {}


def test_a_lost_job_is_queued_again_so_often_and_no_more(sweeps, cluster, wait):
    def first():
        lose(sweeps, cluster, sweeps.roles()[0]["weak"])

    out = wait(first, first, sweeps.run, lost_retries=2)
    assert [line.split()[0] for line in out.splitlines() if "/6" in line] == ["done"] * ALL
    assert len(sweeps.submissions()) == 3


def test_what_is_lost_again_and_again_is_given_up_with_what_needs_it(sweeps, cluster, wait):
    def first():
        lose(sweeps, cluster, sweeps.roles()[0]["weak"])

    out = wait(first, first, lambda: None, sweeps.run, lost_retries=1)
    ends = sorted(line.split()[0] for line in out.splitlines() if "/6" in line)
    assert ends == ["blocked"] * 2 + ["done"] * 4


def test_what_failed_is_not_repeated_until_somebody_asks(sweeps, cluster):
    sweeps.submit(*grid(sweeps), max_submit=2)
    first = sweeps.roles()[0]["weak"]
    ran = sweeps.run(broken=[first])
    while (keep(sweeps), cluster.queue)[1]:
        ran += sweeps.run()
    assert first not in ran
    assert len(ran) == 4  # but the student of the failed supervisor
    assert w2s(["--store", str(sweeps.store.root), "retry", "sweep"]) == 0
    while cluster.queue:
        ran += sweeps.run()
        keep(sweeps)
    assert len(ran) == ALL


def test_a_sweep_that_is_cancelled_stays_so(sweeps, cluster, wait, capsys):
    def cancel():
        assert w2s(["--store", str(sweeps.store.root), "cancel", "sweep"]) == 0

    wait(cancel, max_submit=2)
    assert cluster.queue == {}
    assert keep(sweeps) == 1
    assert "it was cancelled. `w2s retry sweep` submits it again" in capsys.readouterr().err


def test_a_sweep_of_this_machine_is_not_kept(sweeps, capsys):
    sweeps.submit(*grid(sweeps))
    (sweeps.store.sweep("sweep") / "launcher.json").unlink()
    assert keep(sweeps) == 1
    assert "`w2s retry sweep` goes on with it" in capsys.readouterr().err
