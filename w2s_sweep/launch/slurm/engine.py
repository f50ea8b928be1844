"""`hydra/launcher=slurm`: submits what is to run and returns; with `wait` it follows the sweep until it has ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from w2s_sweep.errors import LaunchError
from w2s_sweep.kinds import Kind
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.notify import notify
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.arrays import group_packs, scripts_of
from w2s_sweep.launch.slurm.explain import explain_asks, learners
from w2s_sweep.launch.slurm.follow import follow
from w2s_sweep.launch.slurm.inventory import read_nodes
from w2s_sweep.launch.slurm.last import submit_last
from w2s_sweep.launch.slurm.learned import learn_used
from w2s_sweep.launch.slurm.limits import fit, foresee, look_at_nodes, read_partitions, say_clipped
from w2s_sweep.launch.slurm.lock import settle, submission_lock
from w2s_sweep.launch.slurm.mend import mend
from w2s_sweep.launch.slurm.nodes import exclude_bad
from w2s_sweep.launch.slurm.options import adopt_environment
from w2s_sweep.launch.slurm.queued import cancelled_mark, forget_ended, queued_jobs
from w2s_sweep.launch.slurm.resources import Ask, ask_of, counts_of, device_of
from w2s_sweep.launch.slurm.settings import Settings, read_settings
from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.launch.slurm.speed import learn_time
from w2s_sweep.launch.slurm.submit import Array, submit
from w2s_sweep.launch.slurm.waves import (
    Room,
    after_refusal,
    find_room,
    forget_failures,
    hopeless,
    tasks_left,
    too_many,
    write_waves,
)
from w2s_sweep.launch.slurm.width import Division, division
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.packs import Pack, make_packs
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.terminal import SafeConsole, harmless


@dataclass
class SlurmEngine:
    """Settings of conf/hydra/launcher/slurm.yaml, and the submission."""

    settings: Mapping[str, Any]
    wait: bool = False
    poll_seconds: float = 2.0
    pack_flops: float = 1e18
    again: bool = field(default=False, init=False)
    """Go on with a sweep: what failed is left out (waves.py)."""
    checked: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = {name: _plain(value) for name, value in self.settings.items()}
        self.checked = read_settings(self.settings)

    @property
    def dry_run(self) -> bool:
        return self.checked.dry_run

    def device(self, stage: Stage[Kind]) -> float | None:
        return device_of(stage, self.checked)

    def counts(self, stage: Stage[Kind]) -> Sequence[int]:
        return counts_of(stage, self.checked)

    def explain(self, store: Store, plan: Plan) -> Sequence[str]:
        settings, _ = adopt_environment(self.checked)
        return self._foresee(store, plan, settings)[1]

    def _foresee(self, store: Store, plan: Plan, settings: Settings) -> tuple[list[tuple[Pack, Ask]], list[str]]:
        """The packs of a submission now with what each asks for, and where that comes from; with or without SLURM."""
        settings, times = _learn_time(store, plan, settings)
        stages = plan.stages("to run")
        learned = learn_used(store, stages)
        share = Division(settings, (), learned=learned)  # what is free is not looked up
        packs = make_packs(plan.graph, plan.keys("to run"), self.pack_flops, share)
        asks, limits = foresee([(pack, ask_of(pack, settings, learned)) for pack in packs])
        return asks, [*filter(None, [times]), *explain_asks(stages, settings, learned), *limits]

    def run(self, job: Job) -> bool:
        if "%" in str(job.store.root):  # SLURM and submitit fill in %j and its like, in names of folders too
            raise LaunchError(
                f"store: {job.store.root} has a % in its name, which names of logs cannot have with SLURM."
            )
        if self.dry_run:
            self._show_scripts(job)
            return False
        write_json(job.folder / "launcher.json", {"settings": self.settings, "pack_flops": self.pack_flops})
        coming = self._submit(job, self.again)
        if self.wait:
            follow(job, self.poll_seconds, lambda: self._submit(job, again=True))
            notify(self.checked.notify, job.store, job.name, job.plan.keys("to run", "in flight", "done"))
        elif left := tasks_left(job.store, job.name):
            said = f"{left} tasks wait for later waves: `w2s keep {job.name}` submits them when there is room"
            SafeConsole(highlight=False).print(said, markup=False)
        elif coming and (said := submit_last(job, self.checked)):
            SafeConsole(highlight=False).print(said, markup=False)
        return self.wait

    def _show_scripts(self, job: Job) -> None:
        """What would be submitted; without SLURM too, as on a laptop."""
        settings, said = adopt_environment(self.checked)
        asks, why = self._foresee(job.store, job.plan, settings)
        arrays = group_packs(asks, 1001)
        scripts = scripts_of(job, arrays, settings, job.store.root / "code" / "SNAPSHOT")
        end = f"dry run: {len(arrays)} arrays of tasks, nothing was submitted"
        print(harmless("\n".join([*said, *why, *scripts, end])))

    def _submit(self, job: Job, again: bool) -> set[str]:
        """Submit what is to run, as much of it as there is room for; returns the stages that a job will make, now or in
        a later wave. `again`: not what failed (waves.py)."""
        console = SafeConsole(highlight=False, markup=False)
        settings, said = adopt_environment(self.checked)
        for line in said if not again else ():
            console.print(line)
        with submission_lock(job.store):
            for line in mend(job.store):
                console.print(line)
            settle(job.store)
            forget_ended(job.store)
            mark = cancelled_mark(job.store, job.name)
            if again and mark.is_file():
                return set()
            mark.unlink(missing_ok=True)
            plan = job.replanned()
            left_out = hopeless(job, plan, settings.lost_retries) if again else set[str]()
            wanted = [key for key in plan.keys("to run") if key not in left_out]
            if wanted:
                self._submit_waves(console, replace(job, plan=plan), settings, wanted, again)
            else:
                write_waves(job, 0, Room(None))
                if not again:
                    console.print("nothing to submit: all stages are done or in flight")
            return {*wanted, *plan.keys("in flight")}

    def _submit_waves(self, console: Console, job: Job, settings: Settings, wanted: list[str], again: bool) -> None:
        """Submit the first packs, all where there is room for them; fewer where sbatch refuses so many."""
        room = find_room(job, settings)
        if again and room.full and tasks_left(job.store, job.name):
            return  # a wave that waits for its turn stays as it was written down
        settings = _learn(console, job, settings, wanted)
        packs = self._packs(console, job, settings, wanted, room)
        code, copies = take_snapshot(job.store, job.folder, job.sweep.modules)
        task = replace(job, sweep=replace(job.sweep, modules=copies))  # jobs import these
        while now := room.take(packs):
            try:
                self._submit_packs(console, task, settings, now, code, again)
                break
            except LaunchError as error:
                room = after_refusal(len(now), settings.account) if too_many(error) else room
                if not too_many(error) or (len(now) == 1 and not room.used):
                    raise
        left = packs[len(now) :]
        write_waves(job, len(left), room)
        if left and not again:
            forget_failures(job, [pack for pack, _ in left])
        if left and (now or not again):
            console.print(
                f"{len(now)} of {len(packs)} tasks were submitted: no more than {room.most} may be in the queue"
            )

    def _packs(
        self, console: Console, job: Job, settings: Settings, wanted: list[str], room: Room
    ) -> list[tuple[Pack, Ask]]:
        """The packs, by what is free, and what each asks for, by what like ones have used and the partition gives."""
        stages = [job.plan.graph.stages[key] for key in wanted]
        learned, partitions, nodes = learn_used(job.store, stages), read_partitions(), cache(read_nodes)
        share = division(settings, partitions, nodes, learned, room.left)
        packs = make_packs(job.plan.graph, wanted, self.pack_flops, share)
        asked = [(pack, ask_of(pack, settings, learned)) for pack in packs]
        fitted = fit(asked, look_at_nodes(partitions, asked, nodes))
        for line in filter(
            None, (str(share), learned.say(learners(stages, settings, learned)), *say_clipped(asked, fitted))
        ):
            console.print(line)
        return fitted

    def _submit_packs(
        self,
        console: Console,
        job: Job,
        settings: Settings,
        packs: Sequence[tuple[Pack, Ask]],
        code: Path,
        again: bool,
    ) -> None:
        cluster = commands.cluster_config()
        arrays = group_packs(packs, cluster.max_array_size)
        running = {k: one for k, one in queued_jobs(job.store).items() if k in job.plan.keys("in flight")}
        _show(console, arrays, running)
        began = time.monotonic()
        try:
            submit(job, arrays, settings, code, running, cluster.name, again)
        except LaunchError as error:
            if settings.plain or not commands.forbidden(error):
                raise
            console.print(
                f"this site forbids changes of jobs ({error}): submitted again with dependencies at sbatch alone. "
                "hydra.launcher.plain=true does so at once."
            )
            submit(job, arrays, replace(settings, plain=True), code, running, cluster.name, again)
        console.print(
            f"submitted in {time.monotonic() - began:.1f} s; `w2s --store {job.store.root} status {job.name} --watch` "
            "follows it"
        )


def _learn(console: Console, job: Job, settings: Settings, wanted: Sequence[str]) -> Settings:
    """The settings with what the sweep has shown so far of times and nodes."""
    settings, times = _learn_time(job.store, job.plan, settings)
    settings, nodes = exclude_bad(job.store, job.name, wanted, settings)
    for line in filter(None, (times, nodes)):
        console.print(line)
    return settings


def _learn_time(store: Store, plan: Plan, settings: Settings) -> tuple[Settings, str]:
    return learn_time(store, plan.stages("done"), settings)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value


def _show(console: Console, arrays: Sequence[Array], running: Mapping[str, str]) -> None:
    console.print(f"{len(arrays)} arrays, {sum(len(packs) for _, packs in arrays)} tasks:")
    made_here = {key for _, packs in arrays for pack in packs for key in pack.keys}
    for ask, packs in arrays:
        waiting = sum(not made_here.isdisjoint(pack.waits_for) for pack in packs)
        elsewhere = {running[key] for pack in packs for key in pack.waits_for if key in running}
        stages = sum(len(pack.keys) for pack in packs)
        console.print(
            f"  {len(packs)} tasks for {stages} stages, each {ask}; {waiting} wait for other tasks"
            + (f"; {len(elsewhere)} jobs of other submissions are waited for" if elsewhere else "")
        )
