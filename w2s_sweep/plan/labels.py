"""Labels out of labels: the verbs with which a method combines, filters, mixes or makes up supervision."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from w2s_sweep.config.dataset import SPLITS, Split
from w2s_sweep.config.model import Model
from w2s_sweep.kinds.base import Hints
from w2s_sweep.kinds.forward import Annotate, Prompt
from w2s_sweep.kinds.labels import (
    Agree,
    Calibrate,
    Calibration,
    Choose,
    ColumnNames,
    Combine,
    Correct,
    Elicit,
    Filter,
    Groups,
    Harden,
    HeldOut,
    Labelling,
    LabelsFile,
    Part,
    Pick,
    Refine,
    Relabel,
    Reveal,
    Route,
    Rule,
    Select,
    Temper,
    Weigh,
)
from w2s_sweep.plan.inputs import Inputs

GROUND_TRUTH = None
"""Supervision by the labels of the dataset itself."""


class Labels(Inputs):
    """Stages that publish predictions and train nothing."""

    def prompt(
        self,
        model: Model,
        *,
        role: str,
        calibrate: Calibration,
        harden: bool = False,
        shots: int = 0,
        on: Split = "half_b",
        labels: str | None = GROUND_TRUTH,
        splits: Sequence[Split] = SPLITS,
    ) -> str:
        """The answers of `model` to a prompt for each text, without training; `harden` makes each answer certain.

        `shots` examples of the split `on` are shown with the truth or with the predictions of the stage `labels`;
        then only rows of `splits` are classified. Without shots all rows are, once for all seeds.
        """
        cell = self.cell
        split = cell.dataset.split(cell.seed)
        inputs = {"data": self.data()} | self._adapted_input(model)
        if shots:
            asked = Prompt(
                **self._wording(model), shots=shots, on=on, seed=cell.seed, split=split, splits=tuple(splits)
            )
            inputs |= {} if labels is None else {"labels": labels}
        else:
            asked = Prompt(**self._wording(model), shots=0)
        label = f"prompt {model.name} {cell.dataset.name} {shots} shots seed {cell.seed}"
        answers = self._add(asked, inputs, self._hints(model, label))
        settings = Calibrate(calibrate=calibrate, harden=harden, split=split)
        return self._labelling(settings, {"data": self.data(), "answers": answers}, model, role)

    def annotate(
        self,
        model: Model,
        *,
        on: Split,
        rows: int,
        start: int,
        steps: int,
        folds: int | None,
        alpha: float,
        groups: Groups,
        harden: bool,
    ) -> str:
        """Labels that `model` gives to the split `on`, and beyond it, with rows of `on` and their labels in its prompt:
        those that fit each other best, from `start` random ones on."""
        cell = self.cell
        settings = Annotate(
            **self._wording(model),
            split=cell.dataset.split(cell.seed),
            on=on,
            rows=rows,
            start=start,
            steps=steps,
            folds=folds,
            alpha=alpha,
            groups=groups,
            harden=harden,
            seed=cell.seed,
        )
        label = f"labels by annotate {model.name} {cell.dataset.name} seed {cell.seed}"
        inputs = {"data": self.data()} | self._adapted_input(model)
        return self._add(settings, inputs, self._hints(model, label, role="labels"))

    def elicit(
        self,
        labels: str,
        model: Model,
        *,
        on: Split,
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
        settings = Elicit(
            on=on,
            prior=prior,
            penalty=penalty,
            alpha=alpha,
            sweeps=sweeps,
            groups=groups,
            harden=harden,
            seed=self.cell.seed,
        )
        return self._labelling(settings, inputs, model)

    def correct(self, labels: str, *, on: Split) -> str:
        """For the rows of the split `on`, and of validation: are the predictions `labels` right? Class 1 is yes."""
        return self._labelling(Correct(on=on), {"labels": labels}, self._model_of(labels))

    def route(self, weak: str, own: str, knows: str, *, on: Split, threshold: float) -> str:
        """The predictions `weak`, but on the split `on` those of `own` where `knows` is at least so sure of them."""
        inputs = {"own": own, "weak": weak, "knows": knows}
        return self._labelling(Route(on=on, threshold=threshold), inputs, self._model_of(knows))

    def predict_held_out(self, members: Sequence[str]) -> str:
        """Each row as those of the trained stages `members` predict it that did not learn from it."""
        return self._labelling(HeldOut(), _members(members), self._model_of(members[-1]))

    def refine(self, labels: str, proposals: str, judge: str, *, on: Split, max_replace: float) -> str:
        """The predictions `labels`. On the split `on` those of `proposals` replace them where they say another class
        and `judge` prefers it: at most the share `max_replace` of all that say another class."""
        inputs = {"own": proposals, "weak": labels, "knows": judge}
        settings = Refine(on=on, max_replace=max_replace)
        return self._labelling(settings, inputs, self._model_of(proposals))

    def combine(self, members: Sequence[str], *, role: str, rule: Rule) -> str:
        """The predictions of several stages as one, by a rule of `stages.combine`."""
        return self._labelling(Combine(rule=rule), _members(members), self._model_of(members[-1]), role)

    def pick(self, members: Sequence[str], *, role: str, metric: str) -> str:
        """The predictions of the best of several stages, by `metric` on validation rows and their truth."""
        return self._labelling(Pick(metric=metric), _members(members), self._model_of(members[-1]), role)

    def weigh(self, members: Sequence[str], *, on: Split) -> str:
        """Weights of the examples of `on`, larger where the `members`, boosted one after another, were wrong."""
        return self._labelling(Weigh(on=on), _members(members), self._model_of(members[-1]), "weights")

    def filter(self, labels: str, *, on: Split, share: float, balanced: bool) -> str:
        """The `share` of the labels on the split `on` that are surest; other rows of `on` have none."""
        settings = Filter(on=on, share=share, balanced=balanced)
        return self._labelling(settings, {"labels": labels}, self._model_of(labels))

    def agree(self, labels: str, *, on: Split, least: float, own: str | None = None, ended: bool = False) -> str:
        """The answers on the split `on` that at least the share `least` of the samples `labels` give, and that the
        samples `own` give most often too; other rows of `on` have none. `ended`: nor have those whose text was cut."""
        inputs = {"data": self.data(), "labels": labels} | ({} if own is None else {"own": own})
        return self._labelling(Agree(on=on, least=least, ended=ended), inputs, self._model_of(labels))

    def reveal(
        self,
        model: Model,
        *,
        on: Split,
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
        split = self.cell.dataset.split(self.cell.seed) if labels is None else None
        settings = Reveal(on=on, share=share, choose=choose, seed=seed, opposite=opposite, split=split)
        inputs = {"data": self.data()} if labels is None else {"labels": labels}
        return self._labelling(settings, inputs, model)

    def relabel(self, labels: str, model: Model, *, on: Split, k: int, weight: float) -> str:
        """The labels on the split `on`, mixed with those of the k nearest neighbours in `model`'s frozen features."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": labels}
        return self._labelling(Relabel(on=on, k=k, weight=weight), inputs, model)

    def select(self, labels: str, model: Model, *, on: Split, part: Part) -> str:
        """The labels on the split `on` of the rows that are easy, hard or both for their supervisor and `model`."""
        inputs = {"data": self.data(), "features": self.features(model), "labels": labels}
        return self._labelling(Select(on=on, part=part), inputs, model)

    def labels_file(self) -> str:
        """The labels of the file that supervises the cell, of half B, validation and test as far as it has them."""
        cell, how = self.cell, self.cell.supervisor
        if how.source is None:
            raise ValueError("supervisor.labels names no file")
        settings = LabelsFile(
            file=dict(self.identify(how.source, "dataset")),
            split=cell.dataset.split(cell.seed),
            columns=ColumnNames(**asdict(how.columns)),
            classes=how.classes,
            missing=how.missing,
            repeated=how.repeated,
            test=how.test,
        )
        data = self.data()
        label = f"labels {how.title} {cell.dataset.name} seed {cell.seed}"
        hints = Hints(label=label, dataset=cell.dataset, role="weak", model=cell.strong, data=data, labels=how.source)
        return self._add(settings, {"data": data}, hints)

    def harden(self, labels: str) -> str:
        """The most likely class of each of the predictions `labels`, for certain."""
        return self._labelling(Harden(), {"labels": labels}, self._model_of(labels))

    def temper(self, labels: str, temperature: float | None) -> str:
        """The predictions `labels` at another temperature; None fits it to the truth of validation rows."""
        return self._labelling(Temper(temperature=temperature), {"labels": labels}, self._model_of(labels))

    def _labelling(
        self, settings: Labelling, inputs: Mapping[str, str], model: Model | None, role: str = "labels"
    ) -> str:
        cell = self.cell
        adapted = [key for name in inputs.values() if (key := self.stages[name].hints.adapted)]
        hints = Hints(
            label=f"{role} by {settings.kind} {cell.dataset.name} seed {getattr(settings, 'seed', cell.seed)}",
            dataset=cell.dataset,
            role=role,
            model=model,
            data=self.data(),
            adapted=adapted[0] if adapted else None,
        )
        return self._add(settings, inputs, hints)

    def _model_of(self, key: str) -> Model | None:
        return self.stages[key].hints.model


def _members(keys: Sequence[str]) -> dict[str, str]:
    """Inputs of a kind that reads any number of equals."""
    return {f"member {i}": key for i, key in enumerate(keys)}
