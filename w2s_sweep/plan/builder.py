"""The vocabulary in which a method writes its graph: what `inputs` and `labels` offer, and training on a half."""

from collections.abc import Sequence
from dataclasses import dataclass

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Lora, Probe, Tuned
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.losses import Loss, loss_settings
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.plan.labels import GROUND_TRUTH, Labels
from w2s_sweep.plan.stage import Json, Stage

__all__ = ["GROUND_TRUTH", "Builder", "Mixed", "Roles"]


APART = frozenset({"early_stopping", "evaluations", "reward", "beta"})
"""Settings of `finetune` that are settings of the stage, where their neutral values leave its key alone."""


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


@dataclass(frozen=True)
class Mixed:
    """Rows of a second dataset, with its own truth, that a model learns from beside those it is taught."""

    dataset: Dataset
    rows: float
    """How many, for each row that it is taught."""


class Builder(Labels):
    """All verbs."""

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
        portion: tuple[int, int] | None = None,
        weights: str | None = None,
        also_predict: Sequence[str] = (),
        conflict: float = 0.0,
        mixed: Mixed | None = None,
    ) -> str:
        """A model trained on the split `on` with ground truth, or with the predictions of the stage `labels`.

        Ground truth always means plain cross-entropy; `loss` is for training on predictions. `seed` is that of
        initialisation and order, the cell's unless given (the deal of the rows is always the cell's). `partial`: train
        on those rows of `on` that `labels` says something of, instead of refusing. `portion` (i, n): train on the i-th
        (from 0) of n portions of `on` alone. `weights`: a stage that weighs the examples. `also_predict`: splits to
        predict beyond those that every model predicts. `conflict`: weight of the reward for contradicting the truth,
        see `losses.conflict`. `mixed`: rows of another dataset that are learnt from beside those of `on`.
        """
        cell, finetune = self.cell, self.cell.finetune
        seed = cell.seed if seed is None else seed
        chosen = CrossEntropy() if labels is GROUND_TRUTH or loss is None else loss
        models = f"{taught} → {model.name}" if (taught := self._supervisor(labels)) else model.name
        name = f"{role} {models} {cell.dataset.name} {chosen.name} seed {seed}"  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
        name += f" conflict {conflict:g}" if conflict else ""
        name += "" if mixed is None else f" with {mixed.dataset.name}"
        name += f" portion {portion[0] + 1} of {portion[1]}" if portion else ""
        run = self._run(model, name) | {"role": role}
        inputs = {"data": self.data()} | ({} if labels is None else {"labels": labels})
        inputs |= {} if mixed is None else {"mixed": self.data(mixed.dataset)}
        inputs |= {} if weights is None else {"weights": weights}
        settings: dict[str, Json] = {
            "split": plain(cell.dataset.split(cell.seed)),
            "on": on,
            "portion": None if portion is None else list(portion),
            "loss": loss_settings(chosen),
            "seed": seed,
            "unlabelled": "skip" if partial else "refuse",
            "also_predict": list(also_predict),
            "conflict": conflict,
            "mixed": None if mixed is None else {"rows": mixed.rows, "split": plain(mixed.dataset.split(cell.seed))},
            "early_stopping": self._early_stopping(labels),
        }
        if isinstance(finetune, Probe):
            inputs["features"] = self.features(model)
            inputs |= {} if mixed is None else {"mixed_features": self.features(model, mixed.dataset)}
            settings["finetune"] = {k: v for k, v in plain(finetune).items() if k not in {*APART, "precision"}}
            return self._add(Stage("probe", settings, inputs, run))
        inputs |= self._adapted(model)
        tuned = self._tuned(model, finetune)
        if cell.dataset.generation:
            settings = {k: settings[k] for k in ("split", "on", "portion", "loss", "seed", "early_stopping")}
            settings |= self._weights(model) | {"finetune": tuned}
            return self._add(Stage("generate", settings, inputs, run))
        settings |= self._read_out(model) | {"finetune": tuned}
        settings |= {"reward": finetune.reward, "beta": finetune.beta if finetune.reward == "implicit" else None}
        return self._add(Stage("finetune", settings, inputs, run))

    def _supervisor(self, labels: str | None) -> str | None:
        """Name of the weak model that the labels of a stage come from in the end; None where they come from none."""
        waiting = [] if labels is None else [labels]
        while waiting:
            stage = self.stages[waiting.pop()]
            if stage.run.get("role") == "weak":
                return str(stage.run["model"]["name"])
            waiting += [key for key in stage.inputs.values() if key in self.stages]
        return None

    def _tuned(self, model: Model, finetune: Tuned) -> dict[str, Json]:
        """Hyper-parameters of a fine-tuning of `model`, with what they leave to the model filled in."""
        tuned = {k: v for k, v in plain(finetune).items() if k not in APART}
        if tuned["lr"] is None:
            tuned["lr"] = model.lr_lora if isinstance(finetune, Lora) else model.lr_full
        if isinstance(finetune, Lora):
            tuned["targets"] = list(model.lora_targets)
        if self.cell.dataset.generation:
            del tuned["head_init"]
        elif finetune.head_init == "label_words":
            tuned["label_words"] = list(model.label_words or ())
        return tuned

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
