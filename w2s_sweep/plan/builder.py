"""The vocabulary in which a method writes its graph: what `inputs` and `labels` offer, and training on a half."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypedDict

from w2s_sweep.config import finetune as config
from w2s_sweep.config.dataset import Dataset, Partition, Split
from w2s_sweep.config.model import Model
from w2s_sweep.data.shape import has_targets
from w2s_sweep.kinds.base import Identity
from w2s_sweep.kinds.labels import Ccs, Correct, LabelsFile, MeanDifference, Reveal
from w2s_sweep.kinds.recipes import MixedRows, StoppingRule
from w2s_sweep.kinds.training import Finetune, Generate, Probe
from w2s_sweep.losses import Loss
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.plan.finished import Finished
from w2s_sweep.plan.labels import GROUND_TRUTH
from w2s_sweep.plan.recipes import probe_recipe, tuned_recipe
from w2s_sweep.plan.roles import Roles

__all__ = ["GROUND_TRUTH", "Builder", "Mixed", "Roles"]


@dataclass(frozen=True)
class Mixed:
    """Rows of a second dataset, with its own truth, that a model learns from beside its own."""

    dataset: Dataset
    rows: float
    """How many, for each row of its own."""


class LearningFields(TypedDict):
    """The fields of `kinds.training.Trained`."""

    split: Partition
    on: Split
    portion: tuple[int, int] | None
    loss: Loss
    seed: int
    early_stopping: StoppingRule | None


class SupervisionFields(TypedDict):
    """The further fields of `kinds.training.Supervised`."""

    unlabelled: Literal["refuse", "skip"]
    also_predict: tuple[Split, ...]
    conflict: float
    mixed: MixedRows | None


class WeightsFields(TypedDict):
    """The fields of `kinds.base.OfModel`."""

    model: Identity
    max_tokens: int


class Builder(Finished):
    """All verbs."""

    def supervisor(self) -> str:
        """What labels half B: the weak model, trained on half A with the truth, or the labels of a file."""
        if self.cell.supervisor.labels is not None:
            return self.labels_file()
        return self.train(self.cell.weak_model, role="weak", on="half_a", labels=GROUND_TRUTH)

    def train(
        self,
        model: Model,
        *,
        role: str,
        on: Split,
        labels: str | None,
        loss: Loss | None = None,
        seed: int | None = None,
        partial: bool = False,
        portion: tuple[int, int] | None = None,
        weights: str | None = None,
        also_predict: Sequence[Split] = (),
        conflict: float = 0.0,
        mixed: Mixed | None = None,
        finetune: config.Full | config.Lora | config.Probe | None = None,
        data: str | None = None,
    ) -> str:
        """A model trained on the split `on` with ground truth, or with the predictions of the stage `labels`.

        Ground truth always means plain cross-entropy; `loss` is for training on predictions. `seed` is that of
        initialisation and order, the cell's unless given (how the rows are divided is always the cell's). `partial`:
        train on those rows of `on` that `labels` has, instead of refusing. `portion` (i, n): train on the
        i-th (from 0) of n portions of `on` alone. `weights`: a stage that weighs the examples. `also_predict`: splits
        to predict beyond those that every model predicts. `conflict`: weight of the reward for contradicting the truth,
        see `losses.conflict`. `mixed`: rows of another dataset that are learnt from beside those of `on`. `finetune`:
        how, as the cell says unless given. `data`: a stage with its examples in another form.
        """
        cell, finetune = self.cell, finetune or self.cell.finetune
        learning: LearningFields = {
            "split": cell.dataset.split(cell.seed),
            "on": on,
            "portion": portion,
            "loss": CrossEntropy()
            if labels is GROUND_TRUTH or loss is None
            else loss.of_student(model.confidence_weight),
            "seed": cell.seed if seed is None else seed,
            "early_stopping": self._stopping_rule(labels),
        }
        if labels is not None and not self._is_certain(labels):
            labels = self._as_taught(labels)
        label = self._label(model, role, labels, learning, conflict, mixed) + self._differing(finetune)
        hints = self._hints(model, label, role=role)
        inputs = {"data": data or self.data()} | ({} if labels is None else {"labels": labels})
        if has_targets(cell.dataset):
            settings = Generate(
                **learning,
                **self._of_model(model),
                finetune=tuned_recipe(model, finetune, cell.dataset, head=False),
                unlabelled="skip" if partial else "refuse",
                max_new_tokens=cell.dataset.max_new_tokens,
            )
            return self._add(settings, inputs | self._adapted_input(model), hints)
        inputs |= {} if mixed is None else {"mixed": self.data(mixed.dataset)}
        inputs |= {} if weights is None else {"weights": weights}
        supervision: SupervisionFields = {
            "unlabelled": "skip" if partial or self._may_lack_rows(labels, on) else "refuse",
            "also_predict": tuple(also_predict),
            "conflict": conflict,
            "mixed": None if mixed is None else MixedRows(rows=mixed.rows, split=mixed.dataset.split(cell.seed)),
        }
        if isinstance(finetune, config.Probe):
            inputs["features"] = self.features(model, data=data)
            inputs |= {} if mixed is None else {"mixed_features": self.features(model, mixed.dataset)}
            return self._add(Probe(**learning, **supervision, finetune=probe_recipe(finetune)), inputs, hints)
        settings = Finetune(
            **learning,
            **supervision,
            **self._of_model(model),
            pooling=model.pooling,
            finetune=tuned_recipe(model, finetune, cell.dataset, head=True),
            reward=finetune.reward,
            beta=finetune.beta if finetune.reward == "implicit" else None,
        )
        return self._add(settings, inputs | self._adapted_input(model), hints)

    def mean_difference(self, labels: str, model: Model, *, role: str, on: Split, whiten: bool, penalty: float) -> str:
        """What class means in `model`'s frozen features say, with the predictions `labels` of `on` as classes."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": self._as_taught(labels)}
        split = self.cell.dataset.split(self.cell.seed)
        return self._labelling(MeanDifference(split=split, on=on, whiten=whiten, penalty=penalty), inputs, model, role)

    def ccs(
        self,
        labels: str,
        model: Model,
        *,
        role: str,
        on: Split,
        tries: int,
        epochs: int,
        lr: float,
        weight_decay: float,
    ) -> str:
        """What is consistent over contrast pairs of `on` in `model`'s frozen features; the predictions `labels` say
        which side is class 1."""
        inputs = {"data": self.data(), "features": self.contrast(model), "labels": labels}
        settings = Ccs(
            split=self.cell.dataset.split(self.cell.seed),
            on=on,
            tries=tries,
            epochs=epochs,
            lr=lr,
            weight_decay=weight_decay,
            seed=self.cell.seed,
        )
        return self._labelling(settings, inputs, model, role)

    def ceiling(self, model: Model, *, portion: tuple[int, int] | None = None) -> str | None:
        """A model trained on half B with the truth; the best on validation rows where the cell names several ways.

        None where the cell has no ceiling.
        """
        if self.cell.ceiling.skip:
            return None
        made = [
            self.train(model, role="ceiling", on="half_b", labels=GROUND_TRUTH, portion=portion, finetune=finetune)
            for finetune in self.cell.ceiling.candidates(self.cell.finetune)
        ]
        return made[0] if len(made) == 1 else self.pick(made, role="ceiling", metric=self.cell.metric)

    def _label(
        self,
        model: Model,
        role: str,
        labels: str | None,
        learning: LearningFields,
        conflict: float,
        mixed: Mixed | None,
    ) -> str:
        """What tables and logs call a trained stage."""
        supervisor = self._supervisor(labels)
        models = f"{supervisor} → {model.name}" if supervisor else model.name
        label = f"{role} {models} {self.cell.dataset.name} {learning['loss'].name} seed {learning['seed']}"
        label += f" conflict {conflict:g}" if conflict else ""
        label += "" if mixed is None else f" with {mixed.dataset.name}"
        portion = learning["portion"]
        return label if portion is None else f"{label} portion {portion[0] + 1} of {portion[1]}"

    def _differing(self, finetune: config.Full | config.Lora | config.Probe) -> str:
        """What is not as the cell's fine-tuning has it, for a label."""
        own = self.cell.finetune
        differs = {
            f.name: value for f in fields(finetune) if (value := getattr(finetune, f.name)) != getattr(own, f.name)
        }
        return "".join(f" {name} {value:g}" for name, value in differs.items())

    def _supervisor(self, labels: str | None) -> str | None:
        """Name of the weak model that the labels of a stage come from in the end; None where they come from none."""
        waiting = [] if labels is None else [labels]
        while waiting:
            stage = self.stages[waiting.pop()]
            if stage.kind == LabelsFile.kind:
                return self.cell.supervisor.title
            if stage.hints.role == "weak":
                return stage.hints.of_model.name
            waiting += [key for key in stage.inputs.values() if key in self.stages]
        return None

    def _may_lack_rows(self, labels: str | None, on: Split) -> bool:
        """Whether rows of `on` may have no label of a supervisor, or no truth."""
        if labels is GROUND_TRUTH:
            return on == "half_b" and self.cell.dataset.unlabelled == "half_b"
        return self.cell.supervisor.labels is not None and self.cell.supervisor.missing == "skip"

    def _as_taught(self, labels: str) -> str:
        """The labels of a supervisor as the cell wants them: hard, at another temperature, or as they are."""
        how = self.cell.supervisor
        if how.harden:
            return self.harden(labels)
        if how.calibrate or how.temperature != 1:
            return self.temper(labels, None if how.calibrate else how.temperature)
        return labels

    def _is_certain(self, labels: str) -> bool:
        """Whether the labels of a stage are hard already, and say more than which class is likely."""
        return self._is_truth(labels) or self.stages[labels].kind == Correct.kind

    def _is_truth(self, labels: str) -> bool:
        """Whether a stage has a sample of the truth, and nothing of a supervisor."""
        source = self.stages[labels]
        return source.kind == Reveal.kind and "labels" not in source.inputs

    def _of_model(self, model: Model) -> WeightsFields:
        return {"model": self._weights(model), "max_tokens": self.cell.dataset.max_tokens}

    def _stopping_rule(self, labels: str | None) -> StoppingRule | None:
        """What a stage trained on `labels` is evaluated against.

        A sample of the truth has no labels for validation. A model that predicts whether a supervisor is right has them
        from `correct` alone: the truth of the task is not its target.
        """
        finetune = self.cell.finetune
        if finetune.early_stopping == "none":
            return None
        is_truth = labels is None or self._is_truth(labels)
        judges = labels is not None and self.stages[labels].kind == Correct.kind
        oracle = finetune.early_stopping == "oracle" and not judges
        return StoppingRule(against="truth" if is_truth or oracle else "labels", evaluations=finetune.evaluations)
