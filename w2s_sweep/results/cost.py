"""What a sweep took: hours of devices, from the summaries of its finished stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from w2s_sweep.runner.context import seconds_of
from w2s_sweep.store import Store
from w2s_sweep.store.files import number_in, read_json


@dataclass(frozen=True)
class DeviceHours:
    """Stages that ran on one kind of device."""

    kind: str
    """`GPU` or `CPU`."""
    name: str
    """Of the device, such as `NVIDIA H200`; empty where stages do not say."""
    stages: int
    hours: float
    """Of all runs that finished stages continued from, times the GPUs that each had."""


@dataclass(frozen=True)
class Cost:
    """Of the finished stages of a sweep; a stage that several sweeps share counts in each of them."""

    devices: tuple[DeviceHours, ...]
    """The most hours first."""
    torch: tuple[str, ...]
    """Versions of PyTorch that stages ran with."""

    def hours(self, kind: str) -> float:
        return sum(device.hours for device in self.devices if device.kind == kind)


Summaries = Mapping[str, Mapping[str, Any]]
"""Stage key -> what the stage said of itself when it was finished."""


def summaries_of(store: Store, keys: Iterable[str]) -> Summaries:
    """Of those of the stages that are finished, in this order."""
    return {key: found for key in keys if (found := read_json(store.path(key) / "summary.json")) is not None}


def cost_of(summaries: Summaries) -> Cost:
    """What the stages took together."""
    hours: dict[tuple[str, str], list[float]] = {}
    for summary in summaries.values():
        hours.setdefault(_device(summary), []).append(hours_of(summary))
    devices = [DeviceHours(*device, len(spent), sum(spent)) for device, spent in hours.items()]
    torch = sorted({str(summary["torch"]) for summary in summaries.values() if "torch" in summary})
    return Cost(tuple(sorted(devices, key=lambda device: -device.hours)), tuple(torch))


def _device(summary: Mapping[str, Any]) -> tuple[str, str]:
    return "GPU" if summary.get("device") == "cuda" else "CPU", str(summary.get("device name", ""))


def hours_of(summary: Mapping[str, Any]) -> float:
    """Of a finished stage on its device, all runs that it continued from, times its GPUs."""
    gpus = (number_in(summary, "processes") or 1.0) if summary.get("device") == "cuda" else 1.0
    return (seconds_of(summary) or 0.0) * gpus / 3600
