"""What stages read that no method decides: examples, frozen features, weights adapted to the task's texts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypedDict

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import Source
from w2s_sweep.data.shape import has_pairs, prompt_words
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.kinds.base import Hints, Identity, Json, Kind, SourceKind
from w2s_sweep.kinds.critique import Critique
from w2s_sweep.kinds.data import Data
from w2s_sweep.kinds.forward import Contrast, Features, FeaturesFile
from w2s_sweep.kinds.recipes import AdaptRecipe
from w2s_sweep.kinds.training import Adapt
from w2s_sweep.plan.setup import Setup
from w2s_sweep.plan.stage import Stage

Identify = Callable[[Source, SourceKind], Mapping[str, Json]]
"""Source -> what names its content for ever: a commit, a SHA-256."""


Made = dict[tuple[object, ...], tuple[tuple[object, ...], Stage[Kind]]]
"""Stages that other cells have asked for already: what they are made of, by identity -> that, kept, and the stage."""


class WordingFields(TypedDict):
    """What kinds that ask a model in words have in common."""

    model: Identity
    max_tokens: int
    precision: Precision
    instruction: str
    question: str
    words: tuple[str, ...]
    pair: str | None


class Inputs:
    """Collects the stages of one cell. Every call returns the key of a stage, the same key for the same work."""

    def __init__(self, cell: Setup, identify: Identify, made: Made | None = None):
        self.cell = cell
        self.identify = identify
        self.stages: dict[str, Stage[Kind]] = {}
        self._made: Made = {} if made is None else made

    def _add(self, settings: Kind, inputs: Mapping[str, str], hints: Hints) -> str:
        stage = Stage(settings, inputs, hints)
        self.stages.setdefault(stage.key, stage)
        return stage.key

    def _once(self, what: str, make: Callable[[], str], *of: object) -> str:
        """What `make` adds, which depends on nothing but these objects; made once for all cells that share them."""
        name = (what, *map(id, of))
        if name not in self._made:
            self._made[name] = of, self.stages[make()]
        stage = self._made[name][1]
        self.stages.setdefault(stage.key, stage)
        return stage.key

    def data(self, of: Dataset | None = None) -> str:
        """The balanced examples of the cell's dataset, or of another one, before any split."""
        d = of or self.cell.dataset
        return self._once("data", lambda: self._data(d), d)

    def _data(self, d: Dataset) -> str:
        task = TASKS.get(d.task)  # an unknown name is reported where the configuration is checked
        settings = Data(
            task=d.task,
            task_version=None if task is None else task.version,
            source=dict(self.identify(d.source, "dataset")),
            train_split=d.train_split,
            test_split=d.test_split,
            n_train=d.n_train,
            n_test=d.n_test,
            sample_seed=d.sample_seed,
            balance=d.balance,
            validation_split=d.validation_split,
            columns=d.columns,
            labels=d.labels,
            odd_rows=d.odd_rows,
            unlabelled=d.unlabelled,
            difficulty=d.difficulty,
            difficulty_quantile=d.difficulty_quantile,
            difficulty_threshold=d.difficulty_threshold,
        )
        return self._add(settings, {}, Hints(label=f"data {d.name}", dataset=d))

    def critique(self, model: Model, *, question: str, max_new_tokens: int) -> str:
        """The examples of the cell's dataset, each followed by what `model`, untrained, answers to a question about it:
        data as of `data`, of the same rows."""
        cell = self.cell
        settings = Critique(
            model=self._weights(model),
            max_tokens=cell.dataset.max_tokens,
            precision=cell.finetune.precision,
            question=question,
            max_new_tokens=max_new_tokens,
        )
        hints = self._hints(model, f"critiques {model.name} {cell.dataset.name}")
        return self._add(settings, {"data": self.data()} | self._adapted_input(model), hints)

    def features(self, model: Model, of: Dataset | None = None, data: str | None = None) -> str:
        """Frozen features of every example of the cell's dataset, or of another one that is cut to as many tokens: once
        per model and dataset whatever the seeds and losses. `data`: the stage that has the examples in another form."""
        dataset, cell = of or self.cell.dataset, self.cell
        if data is not None:
            return self._features(model, data, dataset)
        data = self.data(of)
        if model.adapt is not None:  # which may depend on the seed
            return self._features(model, data, dataset)
        read_by = model, dataset, cell.dataset.max_tokens, cell.finetune.precision
        return self._once("features", lambda: self._features(model, data, dataset), *read_by)

    def _features(self, model: Model, data: str, dataset: Dataset) -> str:
        if model.features is not None:
            file = FeaturesFile(file=dict(self.identify(model.source, "dataset")))
            hints = Hints(label=f"features {model.name} {dataset.name}", dataset=dataset, model=model)
            return self._add(file, {"data": data}, hints)
        settings = Features(
            model=self._weights(model),
            max_tokens=self.cell.dataset.max_tokens,
            pooling=model.pooling,
            feature_layer=model.feature_layer,
            precision=self.cell.finetune.precision,
            texts="both" if has_pairs(dataset) else "one",
        )
        hints = self._hints(model, f"features {model.name} {dataset.name}", dataset=dataset)
        return self._add(settings, {"data": data} | self._adapted_input(model), hints)

    def contrast(self, model: Model) -> str:
        """Frozen features of every example with each of its answers after it, in the words of `dataset.prompt`."""
        settings = Contrast(**self._wording(model), pooling=model.pooling, feature_layer=model.feature_layer)
        hints = self._hints(model, f"contrast {model.name} {self.cell.dataset.name}")
        return self._add(settings, {"data": self.data()} | self._adapted_input(model), hints)

    def _wording(self, model: Model) -> WordingFields:
        """How `model` is prompted for the label of a text."""
        prompt = self.cell.dataset.prompt
        return {
            "model": self._weights(model),
            "max_tokens": self.cell.dataset.max_tokens,
            "precision": self.cell.finetune.precision,
            "instruction": prompt.instruction,
            "question": prompt.question,
            "words": prompt_words(self.cell.dataset, model) or (),
            "pair": prompt.pair if has_pairs(self.cell.dataset) else None,
        }

    def adapt(self, model: Model) -> str:
        """`model` trained as a language model on the texts outside the test set, by its own `adapt`."""
        how, dataset = model.adapt, self.cell.dataset
        if how is None:
            raise ValueError(f"{model.name} is not to be adapted")
        lora = how.rank is not None
        settings = Adapt(
            model=self._weights(model),
            max_tokens=dataset.max_tokens,
            adapt=AdaptRecipe(
                epochs=how.epochs,
                lr=how.lr or (model.lr_lora if lora else model.lr_full),
                batch_size=how.batch_size,
                rank=how.rank,
                seed=how.seed,
                alpha=how.alpha if lora else None,
                targets=model.lora_targets if lora else None,
            ),
            precision=self.cell.finetune.precision,
            # without test rows of the source the seed decides which texts are test texts
            split=None if dataset.own_test else dataset.split(self.cell.seed),
        )
        hints = self._hints(replace(model, adapt=None), f"adapted {model.name} {dataset.name}")
        return self._add(settings, {"data": self.data()}, hints)

    def _weights(self, model: Model) -> Identity:
        return dict(self.identify(model.source, "model")) | {"keep_layers": model.keep_layers}

    def _hints(self, model: Model, label: str, role: str | None = None, dataset: Dataset | None = None) -> Hints:
        adapted = self._adapted_input(model).get("adapted")
        return Hints(label=label, dataset=dataset or self.cell.dataset, role=role, model=model, adapted=adapted)

    def _adapted_input(self, model: Model) -> dict[str, str]:
        return {} if model.adapt is None else {"adapted": self.adapt(model)}
