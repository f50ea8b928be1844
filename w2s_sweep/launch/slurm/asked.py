"""What a task's script asks of SLURM, in numbers: options of `hydra.launcher.sbatch` may stand in place of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from w2s_sweep.launch.slurm.options import Options, merge_options
from w2s_sweep.launch.slurm.words import count_of, gpus_of_gres, minutes_of

GB = {"K": 2**-20, "M": 2**-10, "G": 1.0, "T": 2**10}
MEMORY = ("mem", "mem-per-cpu", "mem-per-gpu")
TIME = ("time",)
"""Options of sbatch that say how much; the first that a script has counts."""


@dataclass(frozen=True)
class Asked:
    """Numbers of a script; None where it says none, and the site's default holds."""

    gpus: float | None
    """0 too where a task that needs none asks for none."""
    cpus: float | None
    memory_gb: float | None
    minutes: float | None

    def __str__(self) -> str:
        return f"{_say(self.gpus, 'GPUs')}, {_say(self.cpus, 'CPUs')}, {self.memory}, {self.time}"

    @property
    def memory(self) -> str:
        return _say(self.memory_gb, "GB", "memory")

    @property
    def time(self) -> str:
        return _say(self.minutes, "minutes", "time")

    def to_record(self) -> dict[str, float | None]:
        """As JSON; whole numbers are written as such."""
        return {
            name: int(said) if said is not None and said == int(said) else said for name, said in vars(self).items()
        }


def _say(amount: float | None, unit: str, what: str = "") -> str:
    return f"default {what or unit}" if amount is None else f"{_number(amount)} {unit}"


def _number(amount: float) -> str:
    return f"{amount:.0f}" if amount == int(amount) else f"{amount:.1f}"


def own_options(gpus: int, cpus: int, memory_gb: int, minutes: int) -> dict[str, str]:
    """The amounts of a task as submitit spells them."""
    own = {"cpus-per-task": str(cpus), "mem": f"{memory_gb}GB", "time": str(minutes)}
    return own | ({"gpus-per-node": str(gpus)} if gpus else {})


def read_asked(gpus: int, cpus: int, memory_gb: int, minutes: int, options: Options) -> Asked:
    """What the script of a task says that needs these, with `options` in their place."""
    values = {"gpus": gpus, "cpus": cpus, "memory_gb": memory_gb, "minutes": minutes}
    merged = merge_options(own_options(gpus, cpus, memory_gb, minutes), options, values)
    final = {name: str(said) for name, said in merged.items()}
    there, cores = _gpus(final, gpus), count_of(final.get("cpus-per-task"))
    return Asked(there, cores, _memory(final, cores, there), minutes_of(final.get("time", "")))


def _gpus(final: Mapping[str, str], needed: int) -> int | None:
    """Of one task on one node."""
    if (listed := gpus_of_gres(final.get("gres", ""))) is not None:
        return listed
    said = next((final[name] for name in ("gpus", "gpus-per-node", "gpus-per-task") if name in final), None)
    if said is None:
        return None if needed else 0  # a partition of whole nodes gives them unasked
    return gpus_of_gres(",".join(f"gpu:{part}" for part in said.split(",")))


def _memory(final: Mapping[str, str], cpus: int | None, gpus: int | None) -> float | None:
    times = {"mem": 1, "mem-per-cpu": cpus, "mem-per-gpu": gpus}
    name = next((name for name in MEMORY if name in final), None)
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", final[name].upper()) if name else None
    if found is None or name is None or not (each := int(found[1])) or not (count := times[name]):
        return None  # 0 is all of a node
    return each * GB[found[2] or "M"] * count
