"""The vocabulary in which a method writes its graph: what `inputs` and `labels` offer, and training on a half."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypedDict

from w2s_sweep.config import finetune as config
from w2s_sweep.config.dataset import Dataset, Partition, Split
from w2s_sweep.config.model import Model
from w2s_sweep.data.shape import has_targets
from w2s_sweep.kinds.base import Identity
from w2s_sweep.kinds.evaluate import Evaluate
from w2s_sweep.kinds.labels import Ccs, Combine, Correct, LabelsFile, MeanDifference, Pick, Reveal
from w2s_sweep.kinds.sample import Sample
from w2s_sweep.kinds.training import (
    Finetune,
    Generate,
    MixedRows,
    Probe,
    StoppingRule,
)
from w2s_sweep.losses import Loss
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.plan.labels import GROUND_TRUTH, Labels
from w2s_sweep.plan.recipes import probe_recipe, tuned_recipe

__all__ = ["GROUND_TRUTH", "Builder", "Mixed", "Roles"]


@dataclass(frozen=True)
class Roles:
    """Which stages of a cell play which part; PGR compares their predictions on the test set."""

    weak: str
    student: str
    ceiling: str | None
    """None where none is trained, `ceiling.skip`."""
    reference: str | None = None
    """The student without what the method puts in its way, where the results compare with that one too."""

    tests: "tuple[tuple[str, Roles], ...]" = ()
    """(name of a further dataset, the stages that show its test rows to these roles)."""

    def keys(self) -> tuple[str, ...]:
        """The stages whose predictions the results of the cell are computed from."""
        named = (self.weak, self.student, self.ceiling, self.reference)
        shown = (key for _, roles in self.tests for key in roles.keys())  # noqa: SIM118 - not a dict
        return tuple(dict.fromkeys(key for key in (*named, *shown) if key is not None))

    def map(self, change: Callable[[str], str]) -> "Roles":
        """The same roles, each played by another stage."""
        reference = None if self.reference is None else change(self.reference)
        weak, student = change(self.weak), change(self.student)
        return Roles(weak, student, None if self.ceiling is None else change(self.ceiling), reference)


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


class Builder(Labels):
    """All verbs."""

    def with_tests(self, roles: Roles) -> Roles:
        """The roles of a cell together with those on the test rows of each of its further datasets."""
        shown = [(of.name, roles.map(lambda key, of=of: self.evaluate(key, of))) for of in self.cell.tests]
        return replace(roles, tests=tuple(shown))

    def evaluate(self, key: str, of: Dataset) -> str:
        """What the finished stage `key` predicts for the test rows of another dataset."""
        stage = self.stages[key]
        settings, hints = stage.settings, stage.hints
        if isinstance(settings, Combine):
            members = [self.evaluate(member, of) for member in stage.inputs.values()]
            return self.combine(members, role=hints.role or "", rule=settings.rule)
        first = self.stages[stage.inputs["member 0"]] if isinstance(settings, Pick) else stage
        inputs = {"data": self.data(of), "trained": key} | {k: v for k, v in first.inputs.items() if k == "adapted"}
        hints = replace(hints, label=f"{hints.label} on {of.name}", dataset=of, model=first.hints.model, data=None)
        split = of.split(self.cell.seed)
        if isinstance(first.settings, Probe):
            inputs["features"] = self.features(first.hints.of_model, of)
            return self._add(Evaluate(probe=first.settings, split=split), inputs, hints)
        if not isinstance(first.settings, Finetune):
            raise TypeError(f"a stage of kind {stage.kind} is no trained classifier")
        return self._add(Evaluate(finetune=first.settings, split=split), inputs, hints)

    def sample(self, key: str, *, splits: Sequence[Split], count: int, temperature: float, role: str) -> str:
        """The answers that most of `count` samples of the finished generation stage `key` give, of rows of `splits`."""
        stage, cell = self.stages[key], self.cell
        if not isinstance(stage.settings, Generate):
            raise TypeError(f"a stage of kind {stage.kind} writes no texts that could be drawn anew")
        settings = Sample(
            split=cell.dataset.split(cell.seed),
            trained=stage.settings,
            splits=tuple(splits),
            count=count,
            temperature=temperature,
            seed=cell.seed,
        )
        inputs = {"data": self.data(), "trained": key} | {k: v for k, v in stage.inputs.items() if k == "adapted"}
        label = f"{count} samples of {stage.hints.label}"
        return self._add(settings, inputs, replace(stage.hints, label=label, role=role))

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
    ) -> str:
        """A model trained on the split `on` with ground truth, or with the predictions of the stage `labels`.

        Ground truth always means plain cross-entropy; `loss` is for training on predictions. `seed` is that of
        initialisation and order, the cell's unless given (how the rows are divided is always the cell's). `partial`:
        train on those rows of `on` that `labels` has, instead of refusing. `portion` (i, n): train on the
        i-th (from 0) of n portions of `on` alone. `weights`: a stage that weighs the examples. `also_predict`: splits
        to predict beyond those that every model predicts. `conflict`: weight of the reward for contradicting the truth,
        see `losses.conflict`. `mixed`: rows of another dataset that are learnt from beside those of `on`. `finetune`:
        how, as the cell says unless given.
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
        inputs = {"data": self.data()} | ({} if labels is None else {"labels": labels})
        if has_targets(cell.dataset):
            recipe = tuned_recipe(model, finetune, cell.dataset, head=False)
            unlabelled: Literal["refuse", "skip"] = "skip" if partial else "refuse"
            settings = Generate(**learning, **self._of_model(model), finetune=recipe, unlabelled=unlabelled)
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
            inputs["features"] = self.features(model)
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
