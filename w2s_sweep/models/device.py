"""Where a stage computes, and in which precision: bf16 only where the hardware has it, fp32 everywhere else."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from w2s_sweep.config.finetune import Precision

TOKENS = {"cpu": 2048}
"""Tokens of a forward pass by kind of device: on a CPU what its caches like (docs/PERFORMANCE.md)."""
MOST_TOKENS = 8192
"""The same for other devices, whose kernels are the faster the more there are, up to about here."""
CPU_BF16 = ("avx512_bf16", "amx_bf16")


def pick_device() -> torch.device:
    """The first visible GPU, else the CPU. What is visible is the launcher's choice."""
    if torch.cuda.is_available():
        # Products of float32 numbers with 10 bits of mantissa, more than bf16 has: several times as fast.
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.device("cuda", 0)
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


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
