"""The vocabulary in which a method writes its graph: data, features, training on a half with some supervision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import Source
from w2s_sweep.losses import CrossEntropy, Loss
from w2s_sweep.plan.stage import Json, Kind, Stage

if TYPE_CHECKING:
    from w2s_sweep.config.cell import Cell

GROUND_TRUTH = None
"""Supervision by the labels of the dataset itself."""

Choose = Literal["random", "least_sure"]
"""Which rows a budget of ground truth goes to: drawn, or those whose label is least sure."""

Rule = Literal["mean", "vote", "learned", "evidential", "boosted"]
"""How the predictions of several stages become one, see `stages.combine`."""

Part = Literal["overlap", "easy", "hard"]
"""Rows with a sure label that look like unsure ones; sure ones that do not; unsure ones."""

Calibrate = Literal["none", "median", "contextual"]
"""How the bias of a prompted model to one of its words is taken out: not; by the median of its answers to texts outside
the test set, as in a balanced task; by its answers to texts without content (Zhao et al. 2021)."""

Groups = Literal["free", "halves"]
"""What is known of the labels of a group without looking: nothing, or that half of them are class 1."""

SPLITS = ("half_a", "half_b", "validation", "test")

SourceKind = Literal["model", "dataset"]
Identify = Callable[[Source, SourceKind], Mapping[str, Json]]
"""Source -> what names its content for ever: a commit, a SHA-256."""


@dataclass(frozen=True)
class Roles:
    """Which stages of a cell play which part; PGR compares their predictions on the test set."""

    weak: str
    student: str
    ceiling: str
    reference: str | None = None
    """The student without what the method puts in its way, where the results compare with that one too."""

    def keys(self) -> tuple[str, ...]:
        """The stages whose predictions the results of the cell are computed from."""
        named = (self.weak, self.student, self.ceiling, self.reference)
        return tuple(dict.fromkeys(key for key in named if key is not None))


class Builder:
    """Collects the stages of one cell. Every call returns the key of a stage, the same key for the same work."""

    def __init__(self, cell: "Cell", identify: Identify):
        self.cell = cell
        self.identify = identify
        self.stages: dict[str, Stage] = {}

    def _add(self, stage: Stage) -> str:
        self.stages.setdefault(stage.key, stage)
        return stage.key

    def data(self) -> str:
        """The task's balanced examples, before any split."""
        d = self.cell.dataset
        settings = {
            "task": d.task,
            "source": dict(self.identify(d.source, "dataset")),
            "train_split": d.train_split,
            "test_split": d.test_split,
            "n_train": d.n_train,
            "n_test": d.n_test,
            "sample_seed": d.sample_seed,
        }
        return self._add(Stage("data", settings, {}, {"label": f"data {d.name}", "dataset": _dataset_hint(d)}))

    def features(self, model: Model) -> str:
        """Frozen features of every example, once per model and dataset whatever the seeds and losses."""
        settings = self._read_out(model) | {
            "feature_layer": model.feature_layer,
            "precision": self.cell.finetune.precision,
            "texts": "both" if self.cell.dataset.pairs else "one",
        }
        label = f"features {model.name} {self.cell.dataset.name}"
        inputs = {"data": self.data()} | self._adapted(model)
        return self._add(Stage("features", settings, inputs, self._run(model, label)))

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

    def train(
        self,
        model: Model,
        *,
        role: str,
        on: str,
        labels: str | None,
        loss: Loss | None = None,
        seed: int | None = None,
        partial: bool = False,
        weights: str | None = None,
        also_predict: Sequence[str] = (),
        conflict: float = 0.0,
    ) -> str:
        """A model trained on the split `on` with ground truth, or with the predictions of the stage `labels`.

        Ground truth always means plain cross-entropy; `loss` is for training on predictions. `seed` is that of
        initialisation and order, the cell's unless given (the deal of the rows is always the cell's). `partial`: train
        on those rows of `on` that `labels` says something of, instead of refusing. `weights`: a stage that weighs the
        examples. `also_predict`: splits to predict beyond those that every model predicts. `conflict`: weight of the
        reward for contradicting the truth, see `losses.conflict`.
        """
        cell, finetune = self.cell, self.cell.finetune
        seed = cell.seed if seed is None else seed
        chosen = CrossEntropy() if labels is GROUND_TRUTH or loss is None else loss
        name = f"{role} {model.name} {cell.dataset.name} {chosen.name} seed {seed}"  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
        name += f" conflict {conflict:g}" if conflict else ""
        run = self._run(model, name) | {"role": role}
        inputs = {"data": self.data()} | ({} if labels is None else {"labels": labels})
        inputs |= {} if weights is None else {"weights": weights}
        settings: dict[str, Json] = {
            "split": plain(cell.dataset.split(cell.seed)),
            "on": on,
            "loss": plain(chosen),
            "seed": seed,
            "unlabelled": "skip" if partial else "refuse",
            "also_predict": list(also_predict),
            "conflict": conflict,
            "early_stopping": self._early_stopping(labels),
        }
        tuned = {k: v for k, v in plain(finetune).items() if k not in ("early_stopping", "evaluations")}
        if isinstance(finetune, Probe):
            inputs["features"] = self.features(model)
            settings["finetune"] = {k: v for k, v in tuned.items() if k != "precision"}
            return self._add(Stage("probe", settings, inputs, run))
        settings["reward"], beta = tuned.pop("reward"), tuned.pop("beta")
        settings["beta"] = beta if finetune.reward == "implicit" else None
        inputs |= self._adapted(model)
        if tuned["lr"] is None:
            tuned["lr"] = model.lr_lora if isinstance(finetune, Lora) else model.lr_full
        if isinstance(finetune, Lora):
            tuned["targets"] = list(model.lora_targets)
        if cell.dataset.generation:
            del tuned["head_init"]
            settings = {k: settings[k] for k in ("split", "on", "loss", "seed", "early_stopping")}
            settings |= self._weights(model) | {"finetune": tuned}
            return self._add(Stage("generate", settings, inputs, run))
        if finetune.head_init == "label_words":
            tuned["label_words"] = list(model.label_words or ())
        settings |= self._read_out(model) | {"finetune": tuned}
        return self._add(Stage("finetune", settings, inputs, run))

    def prompt(
        self,
        model: Model,
        *,
        role: str,
        calibrate: Calibrate,
        harden: bool = False,
        shots: int = 0,
        on: str = "half_b",
        labels: str | None = GROUND_TRUTH,
        splits: Sequence[str] = SPLITS,
    ) -> str:
        """What `model` says of each text when it is asked, without training; `harden` keeps its answer alone.

        `shots` examples of the split `on` are shown with the truth or with the predictions of the stage `labels`;
        then only rows of `splits` are asked about. Without shots all rows are, once for all seeds.
        """
        cell = self.cell
        split = plain(cell.dataset.split(cell.seed))
        settings: dict[str, Json] = {
            "model": self._identity(model),
            "max_tokens": cell.dataset.max_tokens,
            "precision": cell.finetune.precision,
            "instruction": cell.dataset.prompt.instruction,
            "question": cell.dataset.prompt.question,
            "words": list(cell.dataset.prompt.words or model.label_words or ()),
            "shots": shots,
        }
        inputs = {"data": self.data()} | self._adapted(model)
        if shots:
            settings |= {"on": on, "seed": cell.seed, "split": split, "splits": list(splits)}
            inputs |= {} if labels is None else {"labels": labels}
        run = self._run(model, f"prompt {model.name} {cell.dataset.name} {shots} shots seed {cell.seed}")
        answers = self._add(Stage("prompt", settings, inputs, run))
        inputs = {"data": self.data(), "answers": answers}
        settings = {"calibrate": calibrate, "harden": harden, "split": split}
        return self._labelling("calibrate", settings, inputs, plain(model), role)

    def elicit(
        self,
        labels: str,
        model: Model,
        *,
        on: str,
        prior: float,
        penalty: float,
        alpha: float,
        sweeps: int,
        groups: Groups,
        harden: bool,
    ) -> str:
        """The predictions `labels`, but on the split `on` those near them that fit each other best in `model`'s frozen
        features; rows of `on` beyond the most that are searched over have none."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": labels}
        settings: dict[str, Json] = {
            "on": on,
            "prior": prior,
            "penalty": penalty,
            "alpha": alpha,
            "sweeps": sweeps,
            "groups": groups,
            "harden": harden,
            "seed": self.cell.seed,
        }
        return self._labelling("elicit", settings, inputs, plain(model), "labels")

    def correct(self, labels: str, *, on: str) -> str:
        """For the rows of the split `on`, and of validation: are the predictions `labels` right? Class 1 is yes."""
        return self._labelling("correct", {"on": on}, {"labels": labels}, self._model_of(labels), "labels")

    def route(self, weak: str, own: str, knows: str, *, on: str, threshold: float) -> str:
        """The predictions `weak`, but on the split `on` those of `own` where `knows` is at least so sure of them."""
        inputs = {"own": own, "weak": weak, "knows": knows}
        settings: dict[str, Json] = {"on": on, "threshold": threshold}
        return self._labelling("route", settings, inputs, self._model_of(knows), "labels")

    def _early_stopping(self, labels: str | None) -> Json:
        """What a stage trained on `labels` is evaluated against; a draw of the truth has no labels for validation, and
        for who judges a labeller the truth of the task is none."""
        finetune = self.cell.finetune
        if finetune.early_stopping == "none":
            return None
        source = None if labels is None else self.stages[labels]
        is_truth = source is None or (source.kind == "reveal" and "labels" not in source.inputs)
        judges = source is not None and source.kind == "correct"
        oracle = finetune.early_stopping == "oracle" and not judges
        against = "truth" if is_truth or oracle else "labels"
        return {"against": against, "evaluations": finetune.evaluations}

    def combine(self, members: Sequence[str], *, role: str, rule: Rule) -> str:
        """The predictions of several stages as one, by a rule of `stages.combine`."""
        inputs = {f"member {i}": key for i, key in enumerate(members)}
        return self._labelling("combine", {"rule": rule}, inputs, self._model_of(members[-1]), role)

    def weigh(self, members: Sequence[str], *, on: str) -> str:
        """Weights of the examples of `on`, larger where the `members`, boosted one after another, were wrong."""
        inputs = {f"member {i}": key for i, key in enumerate(members)}
        return self._labelling("weigh", {"on": on}, inputs, self._model_of(members[-1]), "weights")

    def filter(self, labels: str, *, on: str, share: float, balanced: bool) -> str:
        """The `share` of the labels on the split `on` that are surest; other rows of `on` have none."""
        settings: dict[str, Json] = {"on": on, "share": share, "balanced": balanced}
        return self._labelling("filter", settings, {"labels": labels}, self._model_of(labels), "labels")

    def reveal(
        self,
        model: Model,
        *,
        on: str,
        share: float,
        choose: Choose,
        seed: int,
        labels: str | None = None,
        opposite: bool = False,
    ) -> str:
        """The truth for a `share` of the split `on`; the rest keeps the predictions `labels`, or has none.

        `model` is the one that will be trained on it: a hint, for running both in one process. `opposite`: not the
        truth, but what contradicts it.
        """
        settings: dict[str, Json] = {"on": on, "share": share, "choose": choose, "seed": seed, "opposite": opposite}
        if labels is None:
            settings["split"] = plain(self.cell.dataset.split(self.cell.seed))
        inputs = {"data": self.data()} if labels is None else {"labels": labels}
        return self._labelling("reveal", settings, inputs, plain(model), "labels")

    def relabel(self, labels: str, model: Model, *, on: str, k: int, weight: float) -> str:
        """The labels on the split `on`, mixed with those of the k nearest neighbours in `model`'s frozen features."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": labels}
        settings: dict[str, Json] = {"on": on, "k": k, "weight": weight}
        return self._labelling("relabel", settings, inputs, plain(model), "labels")

    def select(self, labels: str, model: Model, *, on: str, part: Part) -> str:
        """The labels on the split `on` of the rows that are easy, hard or both for who labelled them and `model`."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": labels}
        return self._labelling("select", {"on": on, "part": part}, inputs, plain(model), "labels")

    def _labelling(
        self, kind: Kind, settings: Mapping[str, Json], inputs: Mapping[str, str], model: Json, role: str
    ) -> str:
        run = {
            "label": f"{role} by {kind} {self.cell.dataset.name} seed {settings.get('seed', self.cell.seed)}",
            "role": role,
            "model": model,
            "dataset": _dataset_hint(self.cell.dataset),
            "data": self.data(),
        }
        adapted = [key for name in inputs.values() if (key := self.stages[name].run.get("adapted"))]
        if adapted:
            run["adapted"] = adapted[0]
        return self._add(Stage(kind, settings, inputs, run))

    def _model_of(self, key: str) -> Json:
        return self.stages[key].run["model"]

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
        run = {"label": label, "model": plain(model), "dataset": _dataset_hint(self.cell.dataset)}
        return run | self._adapted(model)

    def _adapted(self, model: Model) -> dict[str, str]:
        return {} if model.adapt is None else {"adapted": self.adapt(model)}


def _dataset_hint(dataset: Dataset) -> dict[str, Json]:
    return plain(dataset)
