"""Labels out of labels: the verbs with which a method combines, filters, mixes or makes up supervision."""

from collections.abc import Mapping, Sequence
from typing import Literal

from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.plan.inputs import Inputs
from w2s_sweep.plan.stage import Json, Kind, Stage

GROUND_TRUTH = None
"""Supervision by the labels of the dataset itself."""

Choose = Literal["random", "least_sure"]
"""Which rows a budget of ground truth goes to: drawn, or those whose label is least sure."""

Rule = Literal["mean", "vote", "learned", "boosted"]
"""How the predictions of several stages become one, see `stages.combine`."""

Part = Literal["overlap", "easy", "hard"]
"""Rows with a sure label that look like unsure ones; sure ones that do not; unsure ones."""

Calibrate = Literal["none", "median", "contextual"]
"""How the bias of a prompted model to one of its words is taken out: not; by the median of its answers to texts outside
the test set, as in a balanced task; by its answers to texts without content (Zhao et al. 2021)."""

Groups = Literal["free", "halves", "balanced"]
"""What is known of labels without looking at one: nothing; that half of each group is class 1; that half of all are."""

SPLITS = ("half_a", "half_b", "validation", "test")


class Labels(Inputs):
    """Stages that publish predictions and train nothing."""

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
        settings = self._asking(model) | {"shots": shots}
        inputs = {"data": self.data()} | self._adapted(model)
        if shots:
            settings |= {"on": on, "seed": cell.seed, "split": split, "splits": list(splits)}
            inputs |= {} if labels is None else {"labels": labels}
        run = self._run(model, f"prompt {model.name} {cell.dataset.name} {shots} shots seed {cell.seed}")
        answers = self._add(Stage("prompt", settings, inputs, run))
        inputs = {"data": self.data(), "answers": answers}
        settings = {"calibrate": calibrate, "harden": harden, "split": split}
        return self._labelling("calibrate", settings, inputs, plain(model), role)

    def annotate(
        self,
        model: Model,
        *,
        on: str,
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
        settings = self._asking(model) | {
            "split": plain(cell.dataset.split(cell.seed)),
            "on": on,
            "rows": rows,
            "start": start,
            "steps": steps,
            "folds": folds,
            "alpha": alpha,
            "groups": groups,
            "harden": harden,
            "seed": cell.seed,
        }
        run = self._run(model, f"labels by annotate {model.name} {cell.dataset.name} seed {cell.seed}")
        run |= {"role": "labels"}
        return self._add(Stage("annotate", settings, {"data": self.data()} | self._adapted(model), run))

    def _asking(self, model: Model) -> dict[str, Json]:
        """How `model` is asked about a text."""
        prompt = self.cell.dataset.prompt
        return {
            "model": self._identity(model),
            "max_tokens": self.cell.dataset.max_tokens,
            "precision": self.cell.finetune.precision,
            "instruction": prompt.instruction,
            "question": prompt.question,
            "words": list(prompt.words or model.label_words or ()),
            "pair": prompt.pair if self.cell.dataset.pairs else None,
        }

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
            "dataset": plain(self.cell.dataset),
            "data": self.data(),
        }
        adapted = [key for name in inputs.values() if (key := self.stages[name].run.get("adapted"))]
        if adapted:
            run["adapted"] = adapted[0]
        return self._add(Stage(kind, settings, inputs, run))

    def _model_of(self, key: str) -> Json:
        return self.stages[key].run["model"]
