"""The W&B run of a trained stage and of a sweep: id, names, configuration, curve and summary, made of files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from w2s_sweep.plan.stage import digest
from w2s_sweep.store.files import read_json
from w2s_sweep.tracking.base import Outcome, TrainedStage
from w2s_sweep.tracking.history import history
from w2s_sweep.tracking.naming import flat_numbers, shorten
from w2s_sweep.tracking.wandb.session import NAME, TAG, Session, run_id


@dataclass(frozen=True)
class RunContent:
    """All that a run is to hold."""

    name: str
    """Its id."""
    title: str
    job_type: str
    config: Mapping[str, Any]
    tags: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    """Of its curve; row i is step i of W&B."""
    summary: Mapping[str, Any]
    mark: str
    """Where the run's summary has the stamp of what this sweep sent: sweeps that share a run have one each."""
    notes: str | None = None
    extra: Callable[[Any], None] | None = None
    """Logs what is no number, to an open run."""

    @property
    def stamp(self) -> str:
        """Equal for equal content."""
        parts = [self.title, self.config, list(self.tags), list(self.rows), self.summary, self.notes]
        return digest(parts)[:20]


def stage_content(session: Session, stage: TrainedStage) -> RunContent:
    """The run of a stage."""
    summary = read_json(stage.folder / "summary.json") or {}
    partners = {f"{role}/key": key for role, key in stage.partners.items()}
    partners |= {f"{role}/run": run_id("stage", key) for role, key in stage.partners.items()}
    own = {f"{session.tag}/{name}": value for name, value in stage.place.items()}
    return RunContent(
        name=run_id("stage", stage.key),
        title=shorten(stage.label, NAME),
        job_type=shorten(stage.role, TAG),
        config={**stage.config, **partners, **own},
        tags=tuple(dict.fromkeys([*session.tags, *(shorten(tag, TAG) for tag in stage.tags)])),
        rows=tuple({"global_step": step, **values} for step, values in history(stage)),
        summary={**flat_numbers(summary), **stage.scores},
        mark=mark_of(session),
    )


def summary_content(session: Session, outcome: Outcome) -> RunContent:
    """The run of the sweep: where it comes from, the table of groups, medians over all cells, figures and report."""

    def extra(run: Any) -> None:
        import wandb

        table = wandb.Table(columns=list[str | int](outcome.heads), data=[list(row) for row in outcome.table])
        shown: dict[str, Any] = {f"figures/{path.stem}": wandb.Image(str(path)) for path in outcome.figures}
        if outcome.report is not None:
            shown["report"] = wandb.Html(str(outcome.report), inject=False)
        run.log({"results": table, **shown}, commit=True)

    table = {"heads": list(outcome.heads), "rows": digest([list(row) for row in outcome.table])}
    return RunContent(
        name=run_id("sweep", outcome.sweep),
        title=shorten(f"summary {outcome.sweep}", NAME),
        job_type="summary",
        config={**outcome.provenance, "sweep": outcome.sweep, "table": table["rows"]},
        tags=session.tags,
        rows=(),
        summary=dict(outcome.numbers),
        mark=mark_of(session),
        notes=session.notes,
        extra=extra,
    )


def mark_of(session: Session) -> str:
    return f"sent/{run_id('sweep', session.sweep)[:8]}"
