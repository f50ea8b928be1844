"""Time limits follow the speed at which finished stages of a sweep ran (what they used: results/usage.py)."""

import statistics
from collections.abc import Iterable
from dataclasses import replace

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import seconds_alone
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

ENOUGH = 3
"""Stages from which times are learned."""
SHORTEST = 60.0
"""Seconds of a stage that tells something: in shorter ones a model is loaded, most of the time."""
BOUNDS = (1 / 3, 4.0)
"""The least and most by which a learned time limit differs from the estimate."""


def learn_time(store: Store, done: Iterable[Stage[Kind]], settings: Settings) -> tuple[Settings, str]:
    """The settings with the speed at which finished stages ran on GPUs, within bounds, and what to say of that.

    Times that were set by hand stay; too few finished stages teach nothing.
    """
    slower = [ratio for stage in done if (ratio := _slowness(store, stage, settings)) is not None]
    if len(slower) < ENOUGH:
        return settings, ""
    factor = min(max(statistics.median(slower), BOUNDS[0]), BOUNDS[1])
    said = f"time limits: {len(slower)} finished stages took {factor:.2g} times the estimate of gpu_tflops"
    return replace(settings, gpu_tflops=settings.gpu_tflops / factor), said


def _slowness(store: Store, stage: Stage[Kind], settings: Settings) -> float | None:
    """Time on a GPU over its estimate; None where that says nothing."""
    summary = read_json(store.path(stage.key) / "summary.json") or {}
    seconds, flops = seconds_alone(summary), stage.cost.flops
    if summary.get("device") != "cuda" or seconds is None or seconds < SHORTEST or not flops:
        return None
    return seconds * settings.gpu_tflops * 1e12 / flops
