"""Names that people know from Hydra and its plugins -> what the same is here."""

from collections.abc import Mapping
from dataclasses import fields

from w2s_sweep.launch.slurm.settings import Settings

GROUPS: Mapping[str, str] = {
    "launcher": "hydra/launcher=slurm or hydra/launcher=local",
    "sweeper": "hydra/sweeper=optuna or hydra/sweeper=grid",
    "callbacks": "+hydra.callbacks.NAME._target_=CLASS",
    "job_logging": "hydra/job_logging=none",
    "model": "model@weak=NAME and model@strong=NAME",
}
"""What is typed as a setting -> how it is chosen."""

OF_SUBMITIT: Mapping[str, str] = {
    "timeout_min": "minutes",
    "mem_gb": "memory_gb",
    "mem_per_cpu": "memory_gb",
    "mem_per_gpu": "memory_gb",
    "cpus_per_task": "cpus",
    "cpus_per_gpu": "cpus",
    "gpus_per_node": "gpus",
    "gpus_per_task": "gpus",
    "array_parallelism": "max_parallel",
    "max_num_timeout": "time_retries",
    "signal_delay_s": "signal_seconds",
    "additional_parameters": "sbatch",
    "srun_args": "sbatch",
    "comment": "sbatch",
    "exclude": "sbatch",
    "gres": "sbatch",
    "nodelist": "sbatch",
    "time": "minutes",
    "mem": "memory_gb",
}
"""Settings of hydra-submitit-launcher, and options of sbatch -> settings of hydra/launcher=slurm."""

OF_SLURM = frozenset(field.name for field in fields(Settings))

OF_PEFT: Mapping[str, str] = {
    "r": "It is finetune.rank",
    "lora_alpha": "It is finetune.alpha",
    "lora_dropout": "It is finetune.dropout",
    "use_rslora": "It is finetune.rslora",
    "use_dora": "It is finetune.dora",
    "target_modules": "It is finetune.targets=all-linear, or strong.lora_targets=[q_proj,v_proj]",
    "modules_to_save": "Beside adapters the head trains alone: embeddings and norms stay as they are. For all weights "
    "set finetune=full",
}
"""Settings of PEFT's LoraConfig -> what the same is in finetune=lora."""

DERIVED: Mapping[str, str] = {
    "nodes": "a stage runs on one node",
    "tasks_per_node": "a stage is one task, with as many GPUs as it needs",
    "submitit_folder": "logs and jobs stand in the sweep's folder of the store",
    "stderr_to_stdout": "each stage has one log, w2s logs KEY",
    "name": "jobs are named after the sweep, name=NAME",
}
"""Those of hydra-submitit-launcher that nobody has to say."""


def of_peft(group: str, name: str) -> str:
    """What a name of PEFT is in the group `finetune`; empty for all others."""
    return f"{group}: {name!r} is none. {OF_PEFT[name]}." if group == "finetune" and name in OF_PEFT else ""


def elsewhere(field: str, name: str) -> str:
    """What a name of Hydra, its submitit launcher or sbatch is here; empty for all others."""
    if name in GROUPS and field == "setting":
        return f"{field}: {name!r} is none. It is chosen with {GROUPS[name]}."
    if name in OF_SUBMITIT:
        return f"{field}: {name!r} is none. Here it is hydra.launcher.{OF_SUBMITIT[name]} of hydra/launcher=slurm."
    if name in DERIVED and field != "setting":
        return f"{field}: {name!r} is none. Leave it out: {DERIVED[name]}."
    if name in OF_SLURM and field == "setting":
        return f"{field}: {name!r} is none. It is hydra.launcher.{name} of hydra/launcher=slurm."
    return ""
