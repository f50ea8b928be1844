"""Nodes whose hardware fails again and again: what failed there runs again, elsewhere."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

HARDWARE = re.compile(
    r"uncorrectable|\bECC\b|fallen off the bus|NVLink|no CUDA-capable device|hardware|system not yet initialized|"
    r"CUDA driver initialization failed|Input/output error|Stale file handle",
    re.IGNORECASE,
)
"""What drivers, torch and file systems say of a node that is broken; a program's own mistakes look otherwise."""
TWICE = 2
"""Failures after which a node is left out."""


MOST = 8
"""Where more nodes than this look broken it is something else that is: none is left out then."""


def failed_by_hardware(failure: Mapping[str, Any] | None) -> bool:
    """Whether a stage's failure was its node's and not its own."""
    return failure is not None and HARDWARE.search(f"{failure.get('error')}\n{failure.get('text')}") is not None


def exclude_bad(store: Store, name: str, keys: Iterable[str], settings: Settings) -> tuple[Settings, str]:
    """The settings without nodes on which stages of the sweep failed twice so, and what to say of that.

    What is set for `exclude` or `nodelist` stays as it is. Nodes are remembered: failures go when a stage runs again.
    """
    path = store.sweep(name) / "nodes.json"
    record = read_json(path) or {}
    failures = {key: read_json(store.work(key) / "failure.json") for key in keys}
    # Once a failure, however often it is looked at: a stage that fails again has another time.
    now = {f"{key} {one['time']}": _node(one) for key, one in failures.items() if one and failed_by_hardware(one)}
    seen: dict[str, str] = record.get("failures", {}) | now
    if now.keys() - record.get("failures", {}).keys():
        write_json(path, {"failures": seen})
    bad = sorted(node for node, count in Counter(seen.values()).items() if count >= TWICE and node)
    free = settings.sbatch or {}
    if not bad or len(bad) > MOST or not free.keys().isdisjoint(("exclude", "nodelist")):
        return settings, ""
    said = f"nodes left out, their hardware failed {TWICE} times or more: {', '.join(bad)} (nodes.json of the sweep)"
    return replace(settings, sbatch={**free, "exclude": ",".join(bad)}), said


def _node(failure: Mapping[str, Any]) -> str:
    return str(failure.get("host") or "").partition(".")[0]
