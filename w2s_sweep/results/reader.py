"""What stages predict for test rows: each stage read once, and shown to a cell on the rows that the cell is about.

A supervisor that is a file may label some test rows alone. Every number of its cells, whatever reads it, is then about
these rows.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.metrics import NO_CEILING, NO_TEST_LABELS
from w2s_sweep.predictions import CURVE, FILE, REMEDY, TEXTS, Evaluated
from w2s_sweep.results.answers import AnswersReader, Layout, legal_of
from w2s_sweep.results.examples import Examples, Frame, Parts
from w2s_sweep.store import Store

pq: Any = parquet
EXAMPLES = "examples.parquet"
"""What a data stage leaves."""
Names = tuple[dict[str, str], dict[str, str]]
"""Example id -> name of its group; example id -> the question that it answers, where that is not its group."""


@dataclass
class Reader:
    """Test predictions of stages, each read once however many cells use it."""

    store: Store
    stages: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the sweep's record."""
    read: dict[str, "Examples | str"] = field(default_factory=dict[str, "Examples | str"])
    narrow: dict[tuple[str, str], "Examples | str"] = field(default_factory=dict[tuple[str, str], "Examples | str"])
    """(stage, file that supervises) -> the stage's predictions for the rows that the file labels."""
    names: dict[str, Names] = field(default_factory=dict[str, Names])
    """Key of a data stage -> what its examples belong to."""
    files: AnswersReader = field(default_factory=AnswersReader)
    frames: dict[tuple[str | None, int], Frame] = field(default_factory=dict[tuple[str | None, int], Frame])
    """(data stage, layout of a file) -> its test rows."""
    orders: dict[tuple[str | None, str], Frame] = field(default_factory=dict[tuple[str | None, str], Frame])
    """(data stage, sorted ids) -> the first of these frames that had them."""
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Stage -> its curve, not yet asked for, as it was when digests were compared."""
    curved: dict[str, bool] = field(default_factory=dict[str, bool])
    """Stage -> whether it has a curve, of those whose digests were all compared."""
    parts: Parts = field(default_factory=Parts)

    def beside(self, key: str, weak: str) -> "Examples | str":
        """A stage's test predictions for a cell that the stage `weak` supervises; or, in words, why there are none."""
        labelled = self.find_labelled(weak)
        if labelled is None:
            return self.examples(key)
        if (key, weak) not in self.narrow:
            self.narrow[key, weak] = self._on(self.examples(key), labelled)
        return self.narrow[key, weak]

    def find_labelled(self, weak: str) -> Array | None:
        """The test rows that a supervisor labels, where it is a file with labels of test rows; else None."""
        said = self.examples(weak) if self.stages.get(weak, {}).get("kind") == LabelsFile.kind else ""
        return said.ids if isinstance(said, Examples) else None

    def examples(self, key: str) -> "Examples | str":
        """All test predictions of a stage sorted by id; or, in words, why there are none."""
        if key not in self.read:
            self.read[key] = self._load(key) if key else NO_CEILING
        return self.read[key]

    def _load(self, key: str) -> "Examples | str":
        folder = self.store.path(key)
        if not folder.is_dir():
            return "not finished"
        data = self._data(key)
        if data is not None and not self.store.path(data).is_dir():  # intervals without groups would claim too much
            return f"stage {data[:10]}, which says what test examples are one group, is gone; run the sweep again"
        try:
            content = self.store.contents(key, FILE, TEXTS, CURVE)  # a flipped bit would be another number
            if FILE not in content:
                return f"no predictions in {folder}"
            layout, probs = self.files.answers(folder / FILE, content[FILE])
            frame = self._frame(data, layout)
        except StoreError as error:
            return str(error)
        if len(frame.ids):
            self._keep_curve(key, content.get(CURVE))
            return Examples.of(frame, probs, legal_of(content.get(TEXTS)))
        if self.stages.get(key, {}).get("kind") == LabelsFile.kind:
            return NO_TEST_LABELS
        return f"no test examples in {folder / FILE}"

    def curve(self, key: str) -> list[Evaluated]:
        """What a stage with predictions said while it trained; nothing where that cannot be read."""
        try:
            content = self._curve_of(key)
            return [] if content is None else self.files.curve(self.store.path(key) / CURVE, content)
        except StoreError:
            return []  # a curve is no result: `w2s verify` tells of damage

    def forget_curves(self) -> None:
        """Let go of the curves that nobody has asked for so far; they are read again where somebody does."""
        self.contents.clear()

    def _keep_curve(self, key: str, content: bytes | None) -> None:
        self.curved[key] = content is not None
        if content is not None:
            self.contents[key] = content

    def _curve_of(self, key: str) -> bytes | None:
        """The curve's bytes; None where the stage has none. StoreError where the stage is damaged."""
        if self.curved.get(key) is False:
            return None
        if key in self.contents:
            return self.contents.pop(key)  # most are asked for once, and all together are large
        if key in self.curved:  # all files of the stage were compared: its weights are not read once more
            said = (self.store.manifest(key) or {}).get(CURVE, {})
            with suppress(OSError):
                content = (self.store.path(key) / CURVE).read_bytes()
                if hashlib.sha256(content).hexdigest() == said.get("sha256"):
                    return content
        return self.store.contents(key, CURVE).get(CURVE)

    def _data(self, key: str) -> str | None:
        """The data stage that a stage's examples come from."""
        inputs: Mapping[str, str] = self.stages.get(key, {}).get("inputs", {})
        if "data" in inputs:
            return inputs["data"]
        return next((found for other in inputs.values() if (found := self._data(other)) is not None), None)

    def _frame(self, data: str | None, layout: Layout) -> Frame:
        about = (data, id(layout))  # which `files` keeps
        if about not in self.frames:
            made = Frame.of(layout, *self._names(data))
            self.frames[about] = made.share(self.orders.setdefault((data, "\n".join(made.ids.tolist())), made))
        return self.frames[about]

    def _names(self, data: str | None) -> Names:
        """Of a data stage's examples; none where no stage is known, as of sweeps that hold none."""
        if data is None:
            return {}, {}
        if data not in self.names:
            self.names[data] = _read_names(self.store.verify(data) / EXAMPLES)
        return self.names[data]

    def _on(self, found: "Examples | str", labelled: Array) -> "Examples | str":
        """On the labelled rows where there are others too; a file with rows of its own is told of by who compares."""
        if isinstance(found, str):
            return found
        return self.parts.on(found, labelled) if {*labelled.tolist()} < {*found.ids.tolist()} else found


def _read_names(path: Path) -> Names:
    with pq.ParquetFile(path) as file:
        there = file.schema_arrow.names
        if absent := {"id", "group"} - {*there}:
            raise StoreError(f"{path} has no column {', '.join(sorted(absent))}. {REMEDY}")
        found = file.read(columns=[name for name in ("id", "group", "question") if name in there]).to_pydict()
    asked = zip(found["id"], found["question"], strict=True) if "question" in found else ()
    return dict(zip(found["id"], found["group"], strict=True)), {one: name for one, name in asked if name is not None}
