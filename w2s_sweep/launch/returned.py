"""What Hydra and its sweepers are told of cells: values, failures, and whether a search would have values at all."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from w2s_sweep.errors import CellsFailed, LaunchError, StageFailed, W2SError
from w2s_sweep.launch.sweep import CellResult
from w2s_sweep.metrics import METRICS


def refuse_blind_search(sweeper: str, config: DictConfig) -> None:
    """LaunchError where a search would have no values to choose cells by but the test set's, or no name."""
    if config.get("plan_only") is True:
        raise LaunchError(
            f"plan_only: true, but {sweeper} chooses cells by the values of earlier ones, and a plan has none. "
            "Leave plan_only out, or plan a grid with hydra/sweeper=grid."
        )
    if config.get("objective") is None:
        raise LaunchError(
            f"objective: null, but {sweeper} chooses cells by their values, which would be PGRs of the test set. "
            "Allowed: objective=validation_pgr (spends the truth of validation rows), or objective=weak_agreement "
            "(agreement of student and supervisor there, without any truth)."
        )
    metric = METRICS.get(str(config.get("metric")))
    if config.get("objective") == "validation_pgr" and metric is not None and metric.reads_groups:
        raise LaunchError(
            f"objective: validation_pgr, but metric={metric.name} depends on groups, which validation rows are not "
            "known by. Set objective=weak_agreement, or metric=accuracy."
        )
    if config.get("name") is None:
        raise LaunchError(
            f"name: null, but {sweeper} keeps what it has found under the name of the sweep. Set name=NAME, "
            "another one for every search."
        )


def raise_failures(results: Sequence[CellResult]) -> None:
    """CellsFailed if a cell failed; every other cell has finished by then and is in the report."""
    failed = [result for result in results if result.failure]
    if failed:
        raise CellsFailed(f"{len(failed)} of {len(results)} cells failed", str(failed[0].failure))


def value_for_search(result: CellResult) -> float | W2SError:
    """The value for a sweeper that compares values: a cell without one has failed, it is not a bad cell."""
    if result.failure or result.undefined:
        reason = result.failure or f"The objective is undefined: {result.undefined}"
        return StageFailed(f"{reason}. Optuna goes on after such cells with hydra.sweeper.max_failure_rate=1.0.")
    return result.value


def value_for_callback(result: CellResult) -> float | W2SError:
    """What a callback is told of a cell."""
    return StageFailed(result.failure) if result.failure else result.value


NO_CONFIG = OmegaConf.create({}, flags={"readonly": True})
"""One for all: of ten thousand cells, making it takes a second."""


def as_job_return(value: float | W2SError, overrides: Sequence[str]) -> JobReturn:
    status = JobStatus.FAILED if isinstance(value, W2SError) else JobStatus.COMPLETED
    done = JobReturn(overrides=list(overrides), cfg=NO_CONFIG, status=status)
    done.return_value = value
    return done
