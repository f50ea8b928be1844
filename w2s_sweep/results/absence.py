"""Why a cell has no numbers: which of its stages failed, or has not run."""

import os
from collections.abc import Mapping
from typing import Any

from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


def stage_failures(store: Store, stages: Mapping[str, Any]) -> dict[str, str]:
    """Key -> error of every stage whose last run failed and that is not finished since."""
    found: dict[str, str] = {}
    work = store.root / "work"
    begun = {*os.listdir(work)} if work.is_dir() else set[str]()  # one look, where stages are many
    for key in [key for key in stages if key in begun]:
        record = read_json(store.work(key) / "failure.json")
        if record is not None and not store.is_done(key):
            found[key] = str(record.get("error", "failed without a message"))
    return found


def describe_absence(
    absent: Mapping[str, str], keys: Mapping[str, str], failures: Mapping[str, str], stages: Mapping[str, Any]
) -> dict[str, Any]:
    """State and note of a cell that lacks a role."""
    notes, failed = list[str](), False
    for role, text in absent.items():
        cause = _cause(keys[role], failures, stages)
        failed |= cause is not None or text != "not finished"
        if cause is None:
            notes.append(f"{role} {text}")
        else:
            through = "" if cause == keys[role] else f" (its input {stages[cause]['label']})"
            notes.append(f"{role}{through}: {failures[cause]}")
    return {"state": "failed" if failed else "missing", "note": "; ".join(notes)}


def _cause(key: str, failures: Mapping[str, str], stages: Mapping[str, Any]) -> str | None:
    """The failed stage that a stage waits for: itself, or one of the stages it needs."""
    if key in failures:
        return key
    inputs: Mapping[str, str] = stages.get(key, {}).get("inputs", {})
    return next((cause for k in inputs.values() if (cause := _cause(k, failures, stages)) is not None), None)
