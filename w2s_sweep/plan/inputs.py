"""What stages read that no method decides: examples, frozen features, weights adapted to the task's texts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import Source
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.plan.stage import Json, Stage

if TYPE_CHECKING:
    from w2s_sweep.config.cell import Cell

SourceKind = Literal["model", "dataset"]
Identify = Callable[[Source, SourceKind], Mapping[str, Json]]
"""Source -> what names its content for ever: a commit, a SHA-256."""


class Inputs:
    """Collects the stages of one cell. Every call returns the key of a stage, the same key for the same work."""

    def __init__(self, cell: "Cell", identify: Identify):
        self.cell = cell
        self.identify = identify
        self.stages: dict[str, Stage] = {}

    def _add(self, stage: Stage) -> str:
        self.stages.setdefault(stage.key, stage)
        return stage.key

    def data(self, of: Dataset | None = None) -> str:
        """The balanced examples of the cell's dataset, or of another one, before any split."""
        d = of or self.cell.dataset
        task = TASKS.get(d.task)  # an unknown name is reported where the configuration is checked
        settings = {
            "task": d.task,
            "task_version": None if task is None else task.version,
            "source": dict(self.identify(d.source, "dataset")),
            "train_split": d.train_split,
            "test_split": d.test_split,
            "n_train": d.n_train,
            "n_test": d.n_test,
            "sample_seed": d.sample_seed,
        }
        return self._add(Stage("data", settings, {}, {"label": f"data {d.name}", "dataset": plain(d)}))

    def features(self, model: Model, of: Dataset | None = None) -> str:
        """Frozen features of every example of the cell's dataset, or of another one that is cut to as many tokens: once
        per model and dataset whatever the seeds and losses."""
        dataset = of or self.cell.dataset
        settings = self._read_out(model) | {
            "feature_layer": model.feature_layer,
            "precision": self.cell.finetune.precision,
            "texts": "both" if dataset.pairs else "one",
        }
        inputs = {"data": self.data(of)} | self._adapted(model)
        run = self._run(model, f"features {model.name} {dataset.name}") | {"dataset": plain(dataset)}
        return self._add(Stage("features", settings, inputs, run))

    def adapt(self, model: Model) -> str:
        """`model` trained as a language model on the texts outside the test set, as its own `adapt` says."""
        if model.adapt is None:
            raise ValueError(f"{model.name} is not to be adapted")
        how = plain(model.adapt)
        if how["lr"] is None:
            how["lr"] = model.lr_full if model.adapt.rank is None else model.lr_lora
        if model.adapt.rank is None:
            del how["alpha"]
        else:
            how["targets"] = list(model.lora_targets)
        settings = self._weights(model) | {"adapt": how, "precision": self.cell.finetune.precision}
        dataset = self.cell.dataset
        if dataset.test_split is None:  # which texts are test texts is dealt by the seed
            settings["split"] = plain(dataset.split(self.cell.seed))
        label = f"adapted {model.name} {dataset.name}"
        run = self._run(replace(model, adapt=None), label)
        return self._add(Stage("adapt", settings, {"data": self.data()}, run))

    def _read_out(self, model: Model) -> dict[str, Json]:
        return self._weights(model) | {"pooling": model.pooling}

    def _weights(self, model: Model) -> dict[str, Json]:
        return {
            "model": self._identity(model),
            "max_tokens": self.cell.dataset.max_tokens,
        }

    def _identity(self, model: Model) -> dict[str, Json]:
        return dict(self.identify(model.source, "model")) | {"keep_layers": model.keep_layers}

    def _run(self, model: Model, label: str) -> dict[str, Json]:
        run = {"label": label, "model": plain(model), "dataset": plain(self.cell.dataset)}
        return run | self._adapted(model)

    def _adapted(self, model: Model) -> dict[str, str]:
        return {} if model.adapt is None else {"adapted": self.adapt(model)}
