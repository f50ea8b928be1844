"""What a table of curves over training holds: a row per group and evaluation, and what one student was worth."""

from dataclasses import dataclass

from w2s_sweep.metrics import Interval, plain_ratio
from w2s_sweep.results.records import Setting


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Setting):
    """What a stage of a group was worth after one of its evaluations, over the seeds that have a curve."""

    group: str
    """That of the group, and of its cells."""
    dataset: str
    """Label of the task."""
    role: str
    """Whose training this is: weak, student or ceiling. Groups that share a stage repeat its curve."""
    weak_params: int
    """Parameters of the supervisor's model."""
    strong_params: int
    """Parameters of the model of student and ceiling."""
    seeds: tuple[int, ...]
    """Seeds whose stages have a curve."""
    evaluation: int
    """Number of the evaluation, from 1; evenly spaced, the last one follows the last step."""
    step: int
    """Optimizer steps done."""
    steps: int
    """Optimizer steps of the whole training."""
    n_test: int
    """Test rows that were predicted: all of them by a probe, a fixed sample of them by a fine-tuning."""
    value: Interval
    """`metric` of the role after this step, on these rows; 95 % interval over seeds and groups of test examples."""
    weak: Interval
    """Of students: `metric` of the supervisor when its training had ended, on the same rows."""
    ceiling: Interval
    """Of students: the same of the ceiling."""
    pgr: Interval
    """Of students: mean gain / mean gap on these rows; null where it is not identified."""
    unidentified: str
    """Why the PGR is not identified; empty where it is, and for other roles."""
    accuracy: Interval
    """Accuracy after this step."""
    auroc: Interval
    """AUROC after this step."""
    agreement: Interval
    """Of students: share of the rows on which it predicts the class that the supervisor predicts."""
    agreement_supervisor_right: Interval
    """The same, among the rows on which the supervisor is right."""
    agreement_supervisor_wrong: Interval
    """The same, among the supervisor's errors: it rises where a student overfits to weak labels."""


@dataclass(frozen=True, kw_only=True)
class StudentStep:
    """What one trained student was worth after one of its evaluations: points without intervals."""

    step: int
    """Optimizer steps done."""
    weak: float | None
    """The cell's metric of its supervisor when its training had ended, on the rows that the student was shown."""
    student: float | None
    """The same of the student after this step."""
    ceiling: float | None
    """The same of the ceiling when its training had ended."""
    agreement: float | None
    """Share of the rows on which it predicts the class that the supervisor predicts."""
    agreement_supervisor_right: float | None
    """The same, among the rows on which the supervisor is right."""
    agreement_supervisor_wrong: float | None
    """The same, among the supervisor's errors."""

    @property
    def ratio(self) -> float | None:
        """gain / gap; None where the ceiling is not better than the supervisor."""
        return plain_ratio(self.weak, self.student, self.ceiling)
