"""A grid of supervisors times students holds pairs that are no weak-to-strong pairs; what is left out is counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_sweep.config.read import is_mapping
from w2s_sweep.terminal import SafeConsole


def keep_pairs(composed: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[str]]:
    """(positions of the cells of a grid that are run, a line for each reason why others are not).

    A model is never its own supervisor; `pairs=smaller` wants one with fewer parameters than its student. Where nothing
    would be left, all are kept: they are refused where cells are checked, with the reason.
    """
    same = [i for i, cell in enumerate(composed) if _same(cell)]
    larger = [i for i, cell in enumerate(composed) if i not in set(same) and _is_unwanted(cell)]
    kept = sorted(set(range(len(composed))) - {*same, *larger})
    if not kept:
        return list(range(len(composed))), []
    left = [(same, "have one model on both sides"), (larger, "have a supervisor that is not smaller (pairs=smaller)")]
    return kept, [f"{len(out)} of {len(composed)} cells {why}: left out" for out, why in left if out]


def tell(line: str) -> None:
    """Print what became of a grid."""
    SafeConsole().print(line, highlight=False, markup=False, soft_wrap=True)


def _models(cell: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    weak, strong = cell.get("weak"), cell.get("strong")
    return (weak, strong) if is_mapping(weak) and is_mapping(strong) else None


def _same(cell: Mapping[str, Any]) -> bool:
    models = _models(cell)
    return models is not None and _weights(models[0]) == _weights(models[1])


def _weights(model: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two models of composed cells the same: a path stands before the source."""
    return model.get("path") or model.get("source"), model.get("base"), model.get("keep_layers")


def _is_unwanted(cell: Mapping[str, Any]) -> bool:
    models = _models(cell)
    if models is None or cell.get("pairs") != "smaller":
        return False
    weak, strong = (model.get("params") for model in models)
    return isinstance(weak, int) and isinstance(strong, int) and weak >= strong
