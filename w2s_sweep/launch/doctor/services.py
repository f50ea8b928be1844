"""What lies outside this machine: SLURM, the hub, W&B. What is not used may be away."""

import os
import shutil
import urllib.request
from collections.abc import Iterator
from importlib import metadata

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.doctor.base import Finding
from w2s_sweep.launch.slurm import commands
from w2s_sweep.sources.hub import no_network

HUB = "https://huggingface.co"
SECONDS = 10.0
NEEDED = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")


def check_slurm() -> Iterator[Finding]:
    there = [name for name in NEEDED if shutil.which(name)]
    if not there:
        yield Finding("ok", "slurm", "not on this machine: sweeps run here (hydra/launcher=local)")
        return
    missing = sorted({*NEEDED} - {*there})
    if missing:
        todo = "Use a login node with all of SLURM's commands."
        yield Finding("bad", "slurm", f"{', '.join(missing)} not in PATH", todo)
        return
    try:
        version = commands.run(["sinfo", "--version"]).strip()
        partitions = sorted({name.rstrip("*") for name in commands.run(["sinfo", "-h", "-o", "%P"]).split()})
    except LaunchError as error:
        said = f"installed, but its controller was not reached: {str(error).splitlines()[0]}"
        todo = "Sweeps run here (hydra/launcher=local); for hydra/launcher=slurm ask `scontrol ping`."
        yield Finding("warn", "slurm", said, todo)
        return
    yield Finding("ok", "slurm", f"{version}, partitions {', '.join(partitions)}")
    if shutil.which("sacct") is None:
        todo = "How a lost job ended is then known only from the files that it left."
        yield Finding("warn", "slurm", "no sacct", todo)


def check_hub() -> Iterator[Finding]:
    """Whether the hub answers, and whether gated models can be asked for."""
    if no_network():
        yield Finding("ok", "hub", "not asked: W2S_OFFLINE or HF_HUB_OFFLINE is set")
        return
    url = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/models?limit=1"), timeout=SECONDS).close()
    except (OSError, ValueError) as error:  # urllib's own are OSErrors; ValueError: no URL
        reason = getattr(error, "reason", None) or error
        todo = "Without it: copies (weak.path=FOLDER, dataset.path=FOLDER, data_root=FOLDER), or models of packages, "
        todo += "as the default ones. A mirror is named by HF_ENDPOINT, a proxy by HTTPS_PROXY."
        yield Finding("warn", "hub", f"{url} cannot be reached ({reason})", todo)
        return
    from huggingface_hub import get_token

    token = "logged in" if get_token() else "not logged in, which gated models (Llama, Gemma) need: `hf auth login`"
    yield Finding("ok", "hub", f"{url} answers; {token}")


def check_wandb() -> Iterator[Finding]:
    try:
        version = metadata.version("wandb")
    except metadata.PackageNotFoundError:
        yield Finding("warn", "wandb", "not installed", "tracker=wandb needs it: `pip install wandb`.")
        return
    from w2s_sweep.tracking.wandb.session import choose_mode, server_url

    mode = choose_mode("auto")
    if mode == "online":
        yield Finding("ok", "wandb", f"{version}, logged in at {server_url()}")
    elif os.environ.get("WANDB_MODE"):
        yield Finding("ok", "wandb", f"{version}, {mode}: WANDB_MODE says so")
    else:
        todo = "tracker=wandb writes offline runs until `wandb login`; other trackers need nothing."
        yield Finding("warn", "wandb", f"{version}, not logged in", todo)
