"""A loss, a task, a method and a tracker as somebody writes them in a folder of their own, with their YAML."""

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_sweep.data.tasks import TASKS
from w2s_sweep.losses import LOSSES
from w2s_sweep.methods import METHODS
from w2s_sweep.modules import is_file
from w2s_sweep.registry import ABSENT, Registry
from w2s_sweep.tracking import TRACKERS

FOCAL = '''"""Focal loss: rows that are easy count less."""
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy


@schema
class Focal(Loss):
    """(1 - p_y)^gamma CE(y, p) (Lin et al. 2017, arXiv 1708.02002)."""

    version: ClassVar[int] = 1
    name: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=0)] = 2.0
    """0 is cross-entropy."""

    def __call__(self, logits, labels, progress):
        log_p = log_softmax(logits)
        p_y = (labels * log_p.exp()).sum(-1)
        return (1 - p_y) ** self.gamma * soft_cross_entropy(labels, log_p)
'''

LOUD = '''"""Texts with a mark: is it an exclamation mark?"""
from w2s_sweep.data.tasks import Task, register
from w2s_sweep.data.tasks.base import one, text


def _loud(row):
    return one(text(row, "words"), int(text(row, "mark") == "!"), text(row, "words"))


register(Task("loud", ("words", "mark"), _loud, version=1))
'''

EXPERTS = '''"""The student learns from what several models say together."""
from typing import Literal

from w2s_sweep.config.model import Model
from w2s_sweep.config.schema import schema
from w2s_sweep.methods.base import Method
from w2s_sweep.plan.builder import GROUND_TRUTH, Roles


@schema
class Experts(Method):
    name: Literal["experts"] = "experts"
    experts: tuple[Model, ...]
    """Named by files of conf/model."""

    def graph(self, cell, build):
        weak = build.supervisor()
        taught = [build.train(one, role="link", on="half_a", labels=GROUND_TRUTH) for one in self.experts]
        both = build.combine([weak, *taught], role="labels", rule="mean")
        student = build.train(cell.strong, role="student", on="half_b", labels=both, loss=cell.loss)
        ceiling = build.ceiling(cell.strong)
        return Roles(weak=weak, student=student, ceiling=ceiling)
'''

YAML = {
    "loss/focal.yaml": "name: focal\ngamma: 2.0\n",
    "dataset/loud.yaml": "name: loud\ntask: loud\nsource: {kind: local, path: ROWS}\nmax_tokens: 32\n",
    "method/experts.yaml": "name: experts\nexperts: ???\n",
}


def write_outside(folder: Path) -> Path:
    """The folder `mine` with three modules and what chooses them."""
    mine = folder / "mine"
    for name, source in {"focal.py": FOCAL, "loud.py": LOUD, "experts.py": EXPERTS}.items():
        mine.mkdir(exist_ok=True)
        (mine / name).write_text(source)
    for name, text in YAML.items():
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_text(text.replace("ROWS", str(folder / "rows.jsonl")))
    draw = random.Random(0)
    rows = [{"words": " ".join(draw.choices(WORDS, k=6)) + f" {i}", "mark": "!?"[i % 2]} for i in range(240)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(marked(row)) + "\n" for row in rows))
    return mine


WORDS = ("the", "film", "was", "that", "story", "and", "plot")

NOTEBOOK = '''"""A line of JSON for each time that a sweep is mirrored."""
import json
from pathlib import Path
from typing import Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, Outcome, Sent, TrackerSettings


class Notebook:
    def __init__(self, file: Path, sweep: str):
        self.file, self.sweep = file, sweep

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        with self.file.open("a") as lines:
            print(json.dumps({"sweep": self.sweep, "stages": len(outcome.stages), **outcome.numbers}), file=lines)
        return Sent([f"noted in {self.file}"])


@schema
class NotebookSettings(TrackerSettings):
    name: Literal["notebook"] = "notebook"
    file: str = "notes.jsonl"
    """Where the lines go."""

    def open(self, sweep: str, folder: Path) -> Notebook:
        return Notebook(Path(self.file), sweep)


TRACKERS.register("notebook", NotebookSettings)
'''


def marked(row: dict[str, str]) -> dict[str, str]:
    """With a word that gives the mark away."""
    return {**row, "words": ("great " if row["mark"] == "!" else "dull ") + row["words"]}


def chosen(mine: Path) -> list[str]:
    """Overrides that choose all three."""
    files = ",".join(str(mine / f"{name}.py") for name in ("focal", "loud", "experts"))
    return ["--config-dir", str(mine), f"modules=[{files}]", "loss=focal", "dataset=loud", "method=experts"]


@contextmanager
def forgotten() -> Iterator[None]:
    """What is registered meanwhile is not there afterwards: other tests look at all that is registered."""
    registries: tuple[Registry, ...] = (LOSSES, METHODS, TASKS, TRACKERS)
    before = [(one, dict(one._items), dict(one._places), one.values()) for one in registries]
    try:
        yield
    finally:
        for one, items, places, values in before:
            one._items, one._places, one._values = items, places, values
        for name in [name for name in sys.modules if is_file(name)]:
            del sys.modules[name]
        ABSENT.clear()
