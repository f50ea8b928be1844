"""The local engine: one worker process a GPU, or one for the CPU, each fed with packs whose inputs are finished."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from w2s_sweep.errors import Interrupted, W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.memory import COUNTS
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.local_run import Run
from w2s_sweep.launch.needs import gpus_of
from w2s_sweep.launch.notify import notify
from w2s_sweep.launch.progress import make_progress
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.packs import Pack, divide, make_packs
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use, without loading torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def gpu_bytes(names: Sequence[str]) -> float | None:
    """Memory of the smallest of these GPUs, in bytes; None where there is none, or it does not say."""
    if not names or shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", f"--id={','.join(names)}"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    sizes = [float(line) for line in listed.stdout.split() if line.replace(".", "").isdigit()]
    return min(sizes) * 2**20 if sizes else None


@dataclass
class LocalEngine:
    """`hydra/launcher=local`."""

    processes: int | None = None
    """Worker processes; null is one for each GPU, or one."""
    pack_flops: float = 1e18
    """Stages that share model and data share a pack up to so many estimated floating-point operations."""
    gpus: int | None = None
    """GPUs that train a model together; null is the fewest in which it fits."""
    cpu_ranks: int = 1
    """Processes that train a model together where there is no GPU."""
    stall_minutes: float | None = None
    """Minutes without progress after which a stage is ended and repeated from its checkpoint; null never does."""
    notify: str | None = None
    """Shell command at the end (notify.py)."""

    def __post_init__(self) -> None:
        if self.processes is not None and self.processes < 1:
            raise W2SError(f"hydra.launcher.processes: got {self.processes}, needs at least 1, or null.")
        if self.cpu_ranks < 1:
            raise W2SError(f"hydra.launcher.cpu_ranks: got {self.cpu_ranks}, needs at least 1.")
        if self.stall_minutes is not None and self.stall_minutes <= 0:
            raise W2SError(f"hydra.launcher.stall_minutes: got {self.stall_minutes}, needs to be above 0, or null.")
        if self.gpus is not None and not 1 <= self.gpus <= max(1, len(self.there)):
            raise W2SError(
                f"hydra.launcher.gpus: got {self.gpus}, and this machine has {len(self.there)}. Use null, which takes "
                "the fewest GPUs in which a stage fits, or a number that there is."
            )

    @property
    def dry_run(self) -> bool:
        return False

    def explain(self, store: Store, plan: Plan) -> Sequence[str]:
        return ()  # nobody is asked for anything

    def run(self, job: Job) -> bool:
        keys, wanted = job.plan.keys("to run", "in flight"), job.plan.keys("to run", "in flight", "done")
        packs = make_packs(job.plan.graph, keys, self.pack_flops, self.share)
        if packs:
            with make_progress(job, keys) as progress:
                try:
                    Run(self, job, packs, progress).loop()
                except Interrupted:
                    notify(self.notify, job.store, job.name, wanted, "interrupted")
                    raise
        notify(self.notify, job.store, job.name, wanted)
        return True

    def share(self, stages: Sequence[Stage[Kind]], flops: float) -> float:
        """Stages of one model are divided among all workers (`plan.packs.Share`)."""
        return divide(stages, flops, len(self.places()))

    def device(self, stage: Stage[Kind]) -> float | None:
        return self._bytes

    def counts(self, stage: Stage[Kind]) -> Sequence[int]:
        """Numbers of GPUs that a stage may compute on."""
        if not stage.settings.can_shard or self.beside > 1:
            return (1,)
        model = stage.hints.model
        said = self.gpus or (None if model is None else model.resources.gpus)
        most = max(1, len(self.places()))
        return tuple(n for n in COUNTS if n <= most) if not said else (min(said, most),)

    def gpus_of(self, pack: Pack) -> int:
        """How many GPUs a pack gets; 1 on the CPU too."""
        return max((gpus_of(stage, self.device(stage), self.counts(stage)) for stage in pack.stages), default=1)

    @cached_property
    def there(self) -> list[str]:
        """Names of the GPUs that there are."""
        return visible_gpus()

    @property
    def beside(self) -> int:
        """Most workers of one GPU."""
        return -(-(self.processes or 1) // max(1, len(self.there)))

    @cached_property
    def _bytes(self) -> float | None:
        there = gpu_bytes(self.there)
        return None if there is None else there / self.beside

    def places(self) -> list[str | None]:
        """The GPU of each worker that has one alone."""
        gpus: Sequence[str | None] = self.there or [None]
        count = self.processes or len(gpus)
        return [gpus[i % len(gpus)] for i in range(count)]
