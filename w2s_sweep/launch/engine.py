"""The small interface behind which `local` and `slurm` run the same plan."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from w2s_sweep.cells.cell import Sweep
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Json
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.packs import Pack
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json


@dataclass(frozen=True)
class Job:
    """A sweep that is ready to run: its data stages are finished, its models are in the cache."""

    name: str
    sweep: Sweep
    store: Store
    plan: Plan
    replanned: Callable[[], Plan]
    """The plan against the store as it is now."""

    @property
    def folder(self) -> Path:
        return self.store.sweep(self.name)

    def write_spec(self, pack: Pack) -> Path:
        """The job file of a pack: plain JSON, everything a process needs, no secrets. Only its owner can read it."""
        folder = self.folder / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        path = folder / f"{pack.name}.json"
        write_json(path, self._spec(pack.stages))
        return path

    def _spec(self, stages: Sequence[Stage[Kind]]) -> dict[str, Json]:
        sweep = self.sweep
        run = {
            "threads": sweep.threads,
            "deterministic": sweep.deterministic,
            "micro_batch_tokens": sweep.micro_batch_tokens,
            "cotrain": sweep.cotrain,
            "checkpoint_seconds": sweep.checkpoint_seconds,
            "keep_weights": sweep.keep_weights,
            "test_evaluations": sweep.test_evaluations,
        }
        return {
            "store": str(self.store.root),
            "stages": [stage.to_json() for stage in stages],
            "modules": list(sweep.modules),
            "run": run,
        }


class Engine(Protocol):
    """Runs the stages of a plan that are to run or in flight."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is run, so that the record of the sweep stays as it is."""
        ...

    def device(self, stage: Stage[Kind]) -> float | None:
        """Bytes of the GPU that it would run a stage on; None where that is the CPU."""
        ...

    def counts(self, stage: Stage[Kind]) -> Sequence[int]:
        """Numbers of GPUs that it may run a stage on, the smallest first."""
        ...

    def explain(self, store: Store, plan: Plan) -> Sequence[str]:
        """Lines for a plan: what would be asked for to run what is to run, and why so much."""
        ...

    def run(self, job: Job) -> bool:
        """Run the job; True when it has ended (well or not), False when it goes on without this process."""
        ...
