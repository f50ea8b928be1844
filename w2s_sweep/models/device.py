"""Where a stage computes, and in which precision: bf16 only where the hardware has it, fp32 everywhere else."""

import os
import platform
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import torch

from w2s_sweep.config.finetune import MOST_TOKENS, Precision
from w2s_sweep.errors import W2SError
from w2s_sweep.models.peaks import Products

GPUS = "W2S_GPUS"
"""Environment variable by which a launcher tells a process how many GPUs it was given."""

SHARED = "W2S_STAGES_PER_GPU"
"""Environment variable by which a launcher tells how many processes share a GPU."""

RANK = "W2S_RANK"
"""Environment variable that tells a process which it is of those that compute a stage together, each on its GPU."""

RANKS = "W2S_RANKS"
"""Environment variable by which a launcher tells how many processes compute a stage together."""
TOKENS = {"cpu": 2048}
"""Tokens of a forward pass by kind of device: on a CPU what its caches like (docs/PERFORMANCE.md)."""
CPU_BF16 = ("avx512_bf16", "amx_bf16")


def pick_device() -> torch.device:
    """The first visible GPU, or that of this rank, else the CPU. What is visible is the launcher's choice.

    W2SError where the launcher gave this process a GPU and torch cannot use it: hours on the CPU of such a node would
    be found by nobody.
    """
    if torch.cuda.is_available():
        # Products of float32 numbers with 10 bits of mantissa, more than bf16 has: several times as fast.
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.device("cuda", int(os.environ.get(RANK, "0")))
    if given := os.environ.get(GPUS, "0").strip("0"):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise W2SError(
            f"device: this process was given {given} GPU (CUDA_VISIBLE_DEVICES={visible}), but torch "
            f"{torch.__version__}, {built}, can use none. Install a build of torch that fits the driver (nvidia-smi "
            "shows its version), or compute on the CPU: CUDA_VISIBLE_DEVICES= before the command, or "
            "hydra.launcher.gpus=0 on a cluster."
        )
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def memory_bytes(device: torch.device) -> float | None:
    """Bytes of a GPU's memory for each of the processes that share it; None on a CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.get_device_properties(device).total_memory / int(os.environ.get(SHARED, "1"))


def frozen_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Of weights that do not train: half of their memory where products round them to 16 bits anyway."""
    half = precision == "bf16" and device.type == "cuda" and has_bf16(device)
    return torch.bfloat16 if half else torch.float32


def products(device: torch.device, precision: Precision) -> Products:
    """What numbers matrix products take in effect."""
    if precision == "bf16" and has_bf16(device):
        return "bf16"
    return "tf32" if device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32 else "fp32"


def describe(device: torch.device, precision: Precision) -> dict[str, str | float]:
    """What a result was computed with."""
    return {
        "device": device.type,
        "device name": name_of(device),
        "torch": torch.__version__,
        "products": products(device, precision),
    }


def set_deterministic(wanted: bool) -> None:
    """From now on the same bits for the same work on one GPU, slower; RuntimeError from an operation that cannot.

    CUBLAS_WORKSPACE_CONFIG has to be set before the first product (`runner.worker`).
    """
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = False


def forget_peak(device: torch.device) -> None:
    """Peaks of memory count from here: those of earlier stages of this process are no matter of the next."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # not on Linux, or not allowed: the peak is then that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> dict[str, float]:
    """GB: of a GPU what torch held at most; of the machine the peak RSS of the process, libraries and files included,
    which with a GPU is that of all stages so far: the most is held while weights are loaded, whichever stage does."""
    if device.type == "cuda":
        return {"peak memory GB": round(torch.cuda.max_memory_allocated(device) / 1e9, 3), **_peak_rss()}
    return _peak_rss()


def _peak_rss() -> dict[str, float]:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        said = next(line for line in lines if line.startswith("VmHWM:"))
        return {"peak RSS GB": round(int(said.split()[1]) * 1024 / 1e9, 3)}
    return {}


def name_of(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def is_lost() -> bool:
    """Whether the GPU context of this process is broken, as after a failed assertion on the device or an ECC error:
    every later call fails, whatever it computes."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def token_budget(device: torch.device, wanted: int | None) -> int:
    """Tokens of a forward pass on `device`; `wanted` where it is set."""
    return wanted or TOKENS.get(device.type, MOST_TOKENS)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware on this device (emulation is slower than fp32)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and _cpu_has_bf16()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Context in which matrix products run in bf16 where `precision` asks for it and the device has it."""
    if precision == "bf16" and has_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Read from the kernel's list of instruction sets: each supported release of torch has another function for it."""
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        return False
    return any(name in words for name in CPU_BF16)
