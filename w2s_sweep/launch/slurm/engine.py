"""`hydra/launcher=slurm`: submits what is to run and returns; with `wait` it follows the sweep until it has ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from w2s_sweep.errors import LaunchError
from w2s_sweep.kinds import Kind
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.arrays import grouped, scripts_of
from w2s_sweep.launch.slurm.follow import follow
from w2s_sweep.launch.slurm.last import submit_last
from w2s_sweep.launch.slurm.lock import settle, submission_lock
from w2s_sweep.launch.slurm.mend import mend
from w2s_sweep.launch.slurm.options import adopt_environment
from w2s_sweep.launch.slurm.queued import cancelled_mark, forget_ended, queued_jobs
from w2s_sweep.launch.slurm.resources import ask_of, counts_of, device_of
from w2s_sweep.launch.slurm.settings import Settings, read_settings
from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.launch.slurm.submit import Array, submit
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.packs import make_packs
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store.files import write_json
from w2s_sweep.terminal import SafeConsole, harmless


@dataclass
class SlurmEngine:
    """Settings of conf/hydra/launcher/slurm.yaml, and the submission."""

    settings: Mapping[str, Any]
    wait: bool = False
    poll_seconds: float = 2.0
    pack_flops: float = 1e18
    checked: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = {name: _plain(value) for name, value in self.settings.items()}
        self.checked = read_settings(self.settings)

    def device(self, stage: Stage[Kind]) -> float | None:
        return device_of(stage, self.checked)

    def counts(self, stage: Stage[Kind]) -> Sequence[int]:
        return counts_of(stage, self.checked)

    def run(self, job: Job) -> bool:
        if "%" in str(job.store.root):  # SLURM and submitit fill in %j and its like, in names of folders too
            raise LaunchError(
                f"store: {job.store.root} has a % in its name, which names of logs cannot have with SLURM."
            )
        if self.checked.dry_run:
            self._show_scripts(job)
            return False
        write_json(job.folder / "launcher.json", {"settings": self.settings, "pack_flops": self.pack_flops})
        self._submit(job)
        if self.wait:
            follow(job, self.poll_seconds)
        elif said := submit_last(job, self.checked):
            SafeConsole(highlight=False).print(said, markup=False)
        return self.wait

    def _arrays(self, plan: Plan, settings: Settings, most: int) -> list[Array]:
        packs = make_packs(plan.graph, plan.keys("to run"), self.pack_flops)
        return grouped([(pack, ask_of(pack, settings)) for pack in packs], most)

    def _show_scripts(self, job: Job) -> None:
        """What would be submitted, without SLURM's help: on a laptop too."""
        settings, said = adopt_environment(self.checked)
        arrays = self._arrays(job.plan, settings, 1001)
        scripts = scripts_of(job, arrays, settings, job.store.root / "code" / "SNAPSHOT")
        print(harmless("\n".join([*said, *scripts, f"dry run: {len(arrays)} arrays of tasks, nothing was submitted"])))

    def _submit(self, job: Job) -> None:
        console = SafeConsole(highlight=False, markup=False)
        settings, said = adopt_environment(self.checked)
        for line in said:
            console.print(line)
        with submission_lock(job.store):
            for line in mend(job.store):
                console.print(line)
            settle(job.store)
            forget_ended(job.store)
            cancelled_mark(job.store, job.name).unlink(missing_ok=True)
            plan = job.replanned()
            if not plan.keys("to run"):
                console.print("nothing to submit: all stages are done or in flight")
                return
            cluster = commands.cluster_config()
            arrays = self._arrays(plan, settings, cluster.max_array_size)
            running = {key: one for key, one in queued_jobs(job.store).items() if key in plan.keys("in flight")}
            _show(console, plan, arrays, running)
            code, copies = take_snapshot(job.store, job.folder, job.sweep.modules)
            job = replace(job, sweep=replace(job.sweep, modules=copies))  # jobs import these
            began = time.monotonic()
            submit(job, arrays, settings, code, running, cluster.name)
        console.print(
            f"submitted in {time.monotonic() - began:.1f} s; `w2s --store {job.store.root} status {job.name} --watch` "
            "follows it"
        )


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value


def _show(console: Console, plan: Plan, arrays: Sequence[Array], running: Mapping[str, str]) -> None:
    console.print(f"{len(arrays)} arrays, {sum(len(packs) for _, packs in arrays)} tasks:")
    made_here = set(plan.keys("to run"))
    for ask, packs in arrays:
        waiting = sum(not made_here.isdisjoint(pack.waits_for) for pack in packs)
        elsewhere = {running[key] for pack in packs for key in pack.waits_for if key in running}
        stages = sum(len(pack.keys) for pack in packs)
        console.print(
            f"  {len(packs)} tasks for {stages} stages, each {ask}; {waiting} wait for other tasks"
            + (f"; {len(elsewhere)} jobs of other submissions are waited for" if elsewhere else "")
        )
