"""What a finished stage is asked again: the test rows of another dataset, more samples of its answers."""

from collections.abc import Sequence
from dataclasses import replace

from w2s_sweep.config.dataset import Dataset, Split
from w2s_sweep.kinds.base import Kind
from w2s_sweep.kinds.evaluate import Evaluate
from w2s_sweep.kinds.labels import Combine, Pick
from w2s_sweep.kinds.prefer import Prefer
from w2s_sweep.kinds.sample import Sample
from w2s_sweep.kinds.training import Finetune, Generate, Probe
from w2s_sweep.plan.labels import Labels
from w2s_sweep.plan.roles import Roles
from w2s_sweep.plan.stage import Stage

GENTLER = 0.1
"""Learning rate of preferences as a share of that of the answers before: pairs overfit sooner."""


class Finished(Labels):
    """Stages that run a trained one again and train nothing."""

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
        inputs = {"data": self.data(of), "trained": key} | _adapted(first)
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
        settings = Sample(
            split=cell.dataset.split(cell.seed),
            trained=_writer(stage),
            splits=tuple(splits),
            count=count,
            temperature=temperature,
            seed=cell.seed,
        )
        inputs = {"data": self.data(), "trained": key} | _adapted(stage)
        label = f"{count} samples of {stage.hints.label}"
        return self._add(settings, inputs, replace(stage.hints, label=label, role=role))

    def prefer(
        self,
        key: str,
        own: str,
        others: str,
        *,
        role: str,
        on: Split,
        least: float,
        beta: float,
        epochs: int,
        lr: float | None,
    ) -> str:
        """The finished generation stage `key`, trained on to prefer answers that the share `least` of its samples `own`
        give to those samples `others`, of rows of `on`, that answer otherwise."""
        stage, cell = self.stages[key], self.cell
        trained = _writer(stage)
        settings = Prefer(
            split=cell.dataset.split(cell.seed),
            trained=trained,
            on=on,
            least=least,
            beta=beta,
            epochs=epochs,
            lr=trained.finetune.lr * GENTLER if lr is None else lr,
            seed=cell.seed,
        )
        inputs = {"data": self.data(), "trained": key, "own": own, "labels": others} | _adapted(stage)
        label = f"{stage.hints.label} preferring".replace(f"{stage.hints.role} ", f"{role} ", 1)
        return self._add(settings, inputs, replace(stage.hints, label=label, role=role))


def _adapted(stage: Stage[Kind]) -> dict[str, str]:
    """The input of adapted weights, where the stage has it."""
    return {name: key for name, key in stage.inputs.items() if name == "adapted"}


def _writer(stage: Stage[Kind]) -> Generate:
    """How the model of a stage that learnt to write is built."""
    match stage.settings:
        case Generate() as settings:
            return settings
        case Prefer(trained=settings):
            return settings
        case _:
            raise TypeError(f"a stage of kind {stage.kind} writes no texts that could be drawn anew")
