"""Runs a pack: each of its stages once, guarded by a claim; a failure stops nobody but the stages that need it."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice

from w2s_sweep.errors import DeviceLost
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.packs import frozen_base
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.attempt import run_stage
from w2s_sweep.runner.companions import has_to_run_alone, tell_alone
from w2s_sweep.runner.spec import Interrupts, Outcome, Pack
from w2s_sweep.runner.together import most_at_once, run_together
from w2s_sweep.store import Lease, Store, acquire, read_claim

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5


def run_pack(
    pack: Pack,
    stop: Callable[[], bool],
    save: threading.Event | None = None,
    starts: Callable[[Stage[Kind]], None] = lambda stage: None,
    ends: Callable[[Stage[Kind], Outcome], None] = lambda stage, outcome: None,
    failed: Collection[str] = (),
) -> dict[str, Outcome]:
    """Run every stage that is not finished and not in `failed`; returns what became of each.

    Raises DeviceLost after a failure that no later stage of this process could survive.
    """
    outcomes: dict[str, Outcome] = dict.fromkeys(failed, "failed")
    signals = Interrupts(stop, save or threading.Event())

    def end(stage: Stage[Kind], outcome: Outcome | None) -> None:
        if outcome is not None:
            outcomes[stage.key] = outcome
            ends(stage, outcome)
        if outcome == "failed" and device_is_lost():
            raise DeviceLost([stage.key])

    waiting: list[Stage[Kind]] = [stage for stage in pack.stages if stage.key not in outcomes]
    while waiting:
        for place, stage in enumerate(waiting):
            if stage.key in outcomes:
                continue  # it was run beside another one
            try:
                mates = _mates(pack, stage, waiting[place + 1 :], outcomes)
                _turn(pack, [stage, *mates], signals, outcomes, starts, end)
            except DeviceLost:  # whoever noticed it knows its own stages at most
                raise DeviceLost([key for key, outcome in outcomes.items() if outcome == "failed"]) from None
        left = [stage for stage in waiting if stage.key not in outcomes]
        if len(left) == len(waiting):
            # Other processes own what is left: wait for their results, or for their claims to go stale.
            time.sleep(POLL_SECONDS)
        waiting = left
    return outcomes


def device_is_lost() -> bool:
    """As `models.device.is_lost`, without loading torch where nothing has."""
    if "torch" not in sys.modules:
        return False
    from w2s_sweep.models.device import is_lost

    return is_lost()


def _mates(
    pack: Pack, stage: Stage[Kind], others: Sequence[Stage[Kind]], outcomes: Mapping[str, Outcome]
) -> list[Stage[Kind]]:
    """Stages that may run at the same time as `stage`: they can now, on the same frozen base, and no process has died
    of that."""
    store, base = pack.store, frozen_base(stage) if pack.run.cotrain > 1 else None
    if base is None or store.is_done(stage.key) or has_to_run_alone(store, stage.key):
        return []
    ready = (
        other
        for other in others
        if other.key not in outcomes
        and frozen_base(other) == base
        and not store.is_done(other.key)
        and all(map(store.is_done, other.inputs.values()))
        and not has_to_run_alone(store, other.key)
    )
    wanted = [stage, *islice(ready, pack.run.cotrain - 1)]
    return wanted[1 : most_at_once(wanted)]


def _turn(
    pack: Pack,
    stages: Sequence[Stage[Kind]],
    signals: Interrupts,
    outcomes: Mapping[str, Outcome],
    starts: Callable[[Stage[Kind]], None],
    end: Callable[[Stage[Kind], Outcome | None], None],
) -> None:
    """One try at stages, together where there are several; without an outcome when somebody else is running one or one
    of its inputs now."""
    with ExitStack() as leases:
        claimed: list[tuple[Stage[Kind], Lease]] = []
        for stage in stages:
            lease = _claim(pack, stage, signals, outcomes)
            if isinstance(lease, Lease):
                claimed.append((stage, leases.enter_context(lease)))
            else:
                end(stage, lease)
        if len(claimed) > 1:
            run_together(pack, claimed, signals, starts, end)
            return
        for stage, lease in claimed:
            starts(stage)
            tell_alone(pack.store, stage.key)
            outcome = run_stage(pack, stage, lease, signals)
            leases.close()
            end(stage, outcome)


def _claim(
    pack: Pack, stage: Stage[Kind], signals: Interrupts, outcomes: Mapping[str, Outcome]
) -> Lease | Outcome | None:
    """The claim of a stage that can be run now, or why it is not; None where somebody else is at it."""
    store = pack.store
    if store.is_done(stage.key):
        _tidy(store, stage.key)
        return "done"
    if signals.stop():
        return "preempted"
    missing = [key for key in stage.inputs.values() if not store.is_done(key)]
    if missing:
        if any(_still_coming(pack, key, outcomes) for key in missing):
            return None
        log.warning("%s: not run, its inputs %s are missing", stage.label, ", ".join(missing))
        return "blocked"
    lease = acquire(store, stage.key)
    # Its last owner may have published between our first look and our claim.
    if lease is not None and store.is_done(stage.key):
        lease.release()
        return "done"
    return lease


def _tidy(store: Store, key: str) -> None:
    """Remove what a run that was killed between its publication and its end left; not while somebody is at it."""
    if not (store.work(key).is_dir() or store.claim_path(key).exists()):
        return
    lease = acquire(store, key)
    if lease is not None:
        with lease:
            store.clear_attempts(key)
            store.clear_work(key)


def _still_coming(pack: Pack, key: str, outcomes: Mapping[str, Outcome]) -> bool:
    """Whether an unfinished input is ahead of us in this pack, or is being made by another process."""
    if key in {stage.key for stage in pack.stages}:
        return key not in outcomes
    claim = read_claim(pack.store, key)
    return claim is not None and claim.alive
