"""How long stages take: what runs is measured, what waits is expected to go as fast as what ran."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import seconds_so_far


@dataclass
class Running:
    """A stage that runs, as far as its progress.json says."""

    stage: Stage[Kind]
    began: float
    """On the clock of whoever watches, in seconds."""
    step: int = 0
    total: int = 0
    """0: nothing is known so far."""
    seconds: float = 0.0
    """When it had done `step` steps, of the runs before this one too."""
    first: tuple[int, float] | None = None
    """The first step and seconds that were seen: a stage that was resumed begins far from 0."""

    def update(self, said: dict[str, Any]) -> None:
        """`said`: what progress.json holds."""
        self.step, self.total, self.seconds = said["step"], said["total"], seconds_so_far(said)
        self.first = self.first or (self.step, self.seconds)

    @property
    def rate(self) -> float | None:
        """Steps a second, since the first look; before a second one, since it began, once a tenth is done: until then
        it is mostly the loading of the model that took time."""
        step, seconds = self.first or (0, 0.0)
        if self.step > step and self.seconds > seconds:
            return (self.step - step) / (self.seconds - seconds)
        if self.seconds and 0 < self.total <= 10 * self.step:
            return self.step / self.seconds
        return None

    @property
    def tokens_rate(self) -> float | None:
        """Tokens a second, by the plan's estimate of its tokens; None for what reads no text."""
        tokens = self.stage.cost.tokens
        return None if self.rate is None or not self.total or not tokens else self.rate * tokens / self.total

    @property
    def left(self) -> float | None:
        """Seconds until it ends."""
        return None if self.rate is None else (self.total - self.step) / self.rate


class Pace:
    """Seconds a FLOP of the stages that have ended, by kind, and the FLOPs that wait."""

    def __init__(self, waiting: Iterable[Stage[Kind]]) -> None:
        # Sums, since a view asks several times a second and a sweep may have tens of thousands of stages.
        self.ahead: Counter[str] = Counter()
        """Kind -> FLOPs of the stages that wait, by the plan's estimate."""
        for stage in waiting:
            self.ahead[stage.kind] += work_of(stage)
        self.spent: dict[str, tuple[int, float]] = {}
        """Kind -> FLOPs and seconds of those that have ended."""

    def begin(self, stage: Stage[Kind]) -> None:
        """A stage waits no more."""
        self.ahead[stage.kind] -= work_of(stage)

    def end(self, stage: Stage[Kind], seconds: float) -> None:
        """A stage has ended after so many seconds."""
        flops, before = self.spent.get(stage.kind, (0, 0.0))
        self.spent[stage.kind] = (flops + work_of(stage), before + seconds)

    def expect(self, kind: str, flops: int) -> float | None:
        """Seconds that so much work of a kind will take; None while nothing has ended."""
        done, seconds = self.spent.get(kind, (0, 0.0))
        if not done:  # no stage of its kind: as all that ended
            done, seconds = sum(f for f, _ in self.spent.values()), sum(s for _, s in self.spent.values())
        return flops * seconds / done if done else None

    def seconds_left(self, running: Iterable[Running], beside: int) -> float | None:
        """Seconds until all have ended, where `beside` stages run at a time; None while nothing is known of some."""
        ahead = [self.expect(kind, flops) for kind, flops in self.ahead.items() if flops]
        ahead += [
            one.left if one.left is not None else self.expect(one.stage.kind, work_of(one.stage)) for one in running
        ]
        known = [seconds for seconds in ahead if seconds is not None]
        return None if len(known) < len(ahead) else sum(known) / max(1, beside)


def work_of(stage: Stage[Kind]) -> int:
    """Its estimated FLOPs, an integer so that sums come out at 0; at least 1: what computes nothing takes a moment."""
    return max(1, round(stage.cost.flops))
