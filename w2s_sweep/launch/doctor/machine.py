"""Python, the packages that this one needs, torch and the GPUs."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from w2s_sweep.launch.doctor.base import Finding
from w2s_sweep.launch.local import visible_gpus
from w2s_sweep.version import __version__

DISTRIBUTION = "w2s-sweep"
PYTHONS = ">=3.11,<3.14"
"""As in pyproject.toml."""
PROBE_SECONDS = 180.0
"""How long torch may take: its first import from a network file system takes minutes."""
# In a process of its own: a driver that hangs or crashes must not take the other findings with it. The product has to
# run on each GPU: a torch that was built for other GPUs imports, sees them, and fails at the first kernel.
PROBE = """
import json, torch
gpus = []
for i in range(torch.cuda.device_count()):
    one = torch.cuda.get_device_properties(i)
    try:
        (torch.ones(8, 8, device=f"cuda:{i}") @ torch.ones(8, 8, device=f"cuda:{i}")).sum().item()
        failed = ""
    except Exception as error:
        failed = str(error).splitlines()[0]
    gpus.append({"name": one.name, "bytes": one.total_memory, "bf16": one.major >= 8, "failed": failed})
print(json.dumps({"version": torch.__version__, "built": torch.version.cuda or torch.version.hip, "gpus": gpus,
    "capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}))
"""


def check_python() -> Iterator[Finding]:
    said, wanted = f"{platform.python_version()} ({sys.executable})", SpecifierSet(PYTHONS)
    if wanted.contains(platform.python_version(), prereleases=True):
        yield Finding("ok", "python", said)
    else:
        yield Finding("bad", "python", said, f"Make the environment with a Python {wanted}.")


def check_packages() -> Iterator[Finding]:
    """Versions against those that this package asks for."""
    try:
        wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        todo = f"In a checkout: `{sys.executable} -m pip install -e .`"
        yield Finding("warn", "packages", f"{DISTRIBUTION} is not installed, so nothing says what it needs", todo)
        return
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    problems = [problem for one in wanted if (problem := _unmet(one))]
    if problems:
        yield Finding("bad", "packages", "; ".join(problems), f"`{sys.executable} -m pip install -U {DISTRIBUTION}`")
    else:
        yield Finding("ok", "packages", f"{DISTRIBUTION} {__version__}, its {len(wanted)} requirements are met")


def _unmet(wanted: Requirement) -> str:
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"{wanted.name} is missing"
    return (
        "" if wanted.specifier.contains(found, prereleases=True) else f"{wanted.name} {found} is not {wanted.specifier}"
    )


def check_torch() -> Iterator[Finding]:
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        yield Finding(
            "bad", "torch", f"no answer in {PROBE_SECONDS:.0f} s", "Does `nvidia-smi` answer? Reboot the GPU."
        )
        return
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        yield Finding("bad", "torch", f"cannot be imported: {lines[-1]}", "Install it anew: https://pytorch.org.")
        return
    yield from judge_torch(json.loads(done.stdout.splitlines()[-1]), visible_gpus())


def judge_torch(found: Mapping[str, Any], there: Sequence[str]) -> Iterator[Finding]:
    """`found`: what the probe printed; `there`: GPUs that the driver shows."""
    built = f"for CUDA {found['built']}" if found["built"] else "for CPUs"
    cpu = f"{found['threads']} CPU threads, {found['capability']}"
    yield Finding("ok", "torch", f"{found['version']}, built {built}; {cpu}")
    gpus: Sequence[Mapping[str, Any]] = found["gpus"]
    if there and not gpus:
        yield Finding(
            "bad",
            "gpu",
            f"the driver shows {len(there)}, torch sees none",
            "Install a torch that is built for the driver's CUDA (`nvidia-smi` shows it): https://pytorch.org.",
        )
    elif not gpus:
        yield Finding("ok", "gpu", "none: stages run on the CPU, or on nodes of a cluster")
    for number, gpu in enumerate(gpus):
        yield _judge_gpu(number, gpu)


def _judge_gpu(number: int, gpu: Mapping[str, Any]) -> Finding:
    said = f"{number}: {gpu['name']}, {gpu['bytes'] / 2**30:.0f} GiB"
    if gpu["failed"]:
        return Finding("bad", "gpu", f"{said}: {gpu['failed']}", "Install a torch that is built for this GPU.")
    if not gpu["bf16"]:
        return Finding("warn", "gpu", f"{said}: no bfloat16 of its own", "Use finetune.precision=fp32.")
    return Finding("ok", "gpu", said)
