"""Several sweeps of one store as one: their cells in a row, a cell that two of them have once."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_sweep.results.labels import sorted_json

Record = dict[str, Any]
"""What sweep.json holds."""


def join(records: Sequence[Record]) -> Record:
    """One record for all; a single record is returned as it is."""
    if len(records) == 1:
        return records[0]
    cells = {
        sorted_json([entry["cell"], entry["roles"]]): entry for record in reversed(records) for entry in record["cells"]
    }
    order = dict.fromkeys(
        sorted_json([entry["cell"], entry["roles"]]) for record in records for entry in record["cells"]
    )
    return {
        "name": " + ".join(record["name"] for record in records),
        "cells": [cells[name] for name in order],
        "stages": {key: about for record in records for key, about in record["stages"].items()},
        "joined": [origin(record) for record in records],
    }


def origin(record: Mapping[str, Any]) -> Record:
    """Where a sweep's cells come from: its name, date, command and code."""
    return {name: record.get(name) for name in ("name", "created", "command", "code")}


def origins(record: Mapping[str, Any]) -> list[Record]:
    """The origin of every sweep that a record holds."""
    return record.get("joined") or [origin(record)]
