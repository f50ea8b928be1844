"""README.md of an export: how to load it, what it scores, and what it was made from, down to the preimage."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from w2s_sweep.config.source import AdapterSource, HubSource, LocalSource, MadeUpSource, ScratchSource, WheelSource
from w2s_sweep.export.forms import Form
from w2s_sweep.export.trained import Trained
from w2s_sweep.results.collect import collect_record
from w2s_sweep.results.records import Row
from w2s_sweep.results.tables.lines import cell_pgr, interval
from w2s_sweep.store import Store
from w2s_sweep.version import __version__

ROLES = ("weak", "student", "ceiling", "reference")


def write_card(trained: Trained, form: Form, code: str, names: Sequence[str] | None, checked: str) -> str:
    """The text of README.md."""
    parts = [
        *_front(trained, form),
        f"# {trained.label}",
        "",
        f"Trained by w2s_sweep ({trained.recipe}), taken out of its store by version {__version__}. {_about(form)}",
        "",
        "```python",
        code.rstrip(),
        "```",
        "",
        *_classes(form, names),
        checked,
        "",
        *_scores(trained),
        *_provenance(trained),
    ]
    return "\n".join(parts) + "\n"


def _front(trained: Trained, form: Form) -> Iterator[str]:
    yield "---"
    yield f"library_name: {'peft' if form.adapter else 'transformers'}"
    if isinstance(trained.source, HubSource):
        yield f"base_model: {trained.source.repository}"
    yield "pipeline_tag: text-classification"
    yield "tags: [weak-to-strong-generalization, w2s_sweep]"
    yield "---"
    yield ""


def _about(form: Form) -> str:
    what = {
        "sequence": "It loads as a sequence classifier of transformers",
        "backbone": "It loads as a plain model with a linear head on a read-out of its states, which no class of "
        "transformers has",
        "probe": "It is a linear probe on the standardised output of one block of a frozen model",
    }[form.loads]
    rest = ". Its head has a bias, which the class of transformers lacks: load it as here, or logits lack a constant"
    return what + (rest if form.bias else "") + "."


def _classes(form: Form, names: Sequence[str] | None) -> Iterator[str]:
    if form.outputs == 1:
        yield "One logit a text: its reward. The first text of a pair is preferred with probability sigmoid(r1 - r2)."
    elif names:
        yield f"Classes: {', '.join(f'{i} {name}' for i, name in enumerate(names))}."
    yield ""


def _scores(trained: Trained) -> Iterator[str]:
    yield "## Scores"
    yield ""
    for name in ("accuracy/validation", "accuracy/test", "auroc/test"):
        if isinstance(value := trained.summary.get(name), float):
            yield f"- {name}: {value:.4f}"
    for sweep, row, role in _cells(trained.store, trained.key):
        scores = ", ".join(f"{one} {interval(getattr(row, one), 4)}" for one in ("weak", "student", "ceiling"))
        yield f"- {role} of cell {row.cell} of sweep {sweep}: {row.metric} on {row.n_test or 0:,} test examples:"
        yield f"  {scores}; PGR {cell_pgr(row)}" + (f" ({row.unidentified})" if row.unidentified else "")
    yield ""


def _cells(store: Store, key: str) -> Iterator[tuple[str, Row, str]]:
    """The first cell of the newest sweep in which the stage plays a part that results are computed from."""
    for sweep in store.sweeps():
        record = store.read_sweep(sweep)
        for number, entry in enumerate(record["cells"]):
            role = next((role for role in ROLES if entry["roles"].get(role) == key), None)
            if role is not None:
                row = collect_record(store, record | {"cells": [entry]}).rows[0]
                if row.state == "done":
                    yield sweep, replace(row, cell=number), role
                return


def _provenance(trained: Trained) -> Iterator[str]:
    yield "## Where it comes from"
    yield ""
    yield f"- stage `{trained.key}`, whose key is the hash of the settings below and of the stages that it read"
    yield f"- model: {_source(trained)}"
    yield from (f"- it read {name}: stage `{key}`" for name, key in trained.inputs.items())
    yield from (f"- {name}: {trained.summary[name]}" for name in ("torch", "device name") if name in trained.summary)
    yield ""
    yield "```json"
    yield json.dumps(_preimages(trained), indent=1, sort_keys=True, ensure_ascii=False)
    yield "```"


def _source(trained: Trained) -> str:
    match trained.source:
        case HubSource(repository=repository):
            return f"{repository} of the Hugging Face hub, {dict(trained.opens.weights)}"
        case WheelSource(package=package, version=version, member=member):
            return f"{member} in package {package} {version}, {dict(trained.opens.weights)}"
        case LocalSource(path=path):
            return f"the folder {path}, {dict(trained.opens.weights)}"
        case ScratchSource(layers=layers, hidden=hidden):
            return f"a model of {layers} blocks of width {hidden} with random weights, {dict(trained.opens.weights)}"
        case AdapterSource(path=path, base=base):
            return f"the adapter in {path} on {base}, {dict(trained.opens.weights)}"
        case MadeUpSource():
            raise TypeError("rows are made up, models are not")


def _preimages(trained: Trained) -> Mapping[str, Any]:
    """That of the stage and of all that it was made from, by key."""
    found: dict[str, Any] = {}
    waiting = [trained.key]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = dict(trained.store.preimage(key))
            waiting += found[key]["inputs"].values()
    return found
