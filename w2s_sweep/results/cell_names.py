"""What the settings of cells are called in tables: short names, and what tells settings of one name apart."""

from collections.abc import Mapping
from typing import Any

from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.results.labels import label_all

NAMED = ("dataset", "weak", "strong", "loss", "method", "finetune")


def label_settings(cells: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """For each named setting: `sorted_json` -> label. Both models of a cell share one set of labels."""
    named = [name_settings(cell) for cell in cells]
    models = label_all(found[name] for found in named for name in ("weak", "strong"))
    others = {name: label_all(found[name] for found in named) for name in NAMED if name not in ("weak", "strong")}
    return others | {"weak": models, "strong": models}


def name_settings(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a cell that labels are made of: a file of labels stands in the place of the weak model, whether
    labels are made hard belongs to the loss, and how the ceiling is trained to how models are."""
    how: Mapping[str, Any] = cell.get("supervisor") or {}
    named = {name: cell[name] for name in NAMED}
    if named["weak"] is None:
        named["weak"] = {"name": Supervisor(labels=how["labels"], name=how["name"]).title, "path": how["labels"]}
    if taught := _taught(how):
        named["loss"] = {**named["loss"], "supervision": taught}
    tried = {f"ceiling {key}": value for key, value in cell.get("ceiling", {}).items() if value}
    return named | {"finetune": {**named["finetune"], **tried}}


def _taught(how: Mapping[str, Any]) -> str | None:
    """What was done to a supervisor's labels before a student learnt from them; None where nothing was."""
    if how.get("harden"):
        return "hard"
    if how.get("calibrate"):
        return "calibrated"
    temperature = how.get("temperature", 1.0)
    return None if temperature == 1 else f"temperature {temperature:g}"
