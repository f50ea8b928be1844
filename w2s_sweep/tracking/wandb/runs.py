"""Writes the content of a run into a W&B run, online or offline: the rows that are not there yet, and the rest."""

from typing import Any

from w2s_sweep.tracking.naming import shorten
from w2s_sweep.tracking.wandb.arrived import Arrived
from w2s_sweep.tracking.wandb.content import RunContent
from w2s_sweep.tracking.wandb.session import NAME, Session, WandbFailed, boundary


def write_run(
    session: Session, content: RunContent, found: Arrived | None = None, message: tuple[str, str] | None = None
) -> None:
    """Write a run of which the server has what `found` says; `message`: title and text of an alert."""
    run = open_run(session, content, found)
    with boundary("sending a curve"):
        # W&B counts one step a row, and so do we: it has the rows before its next step.
        for step, row in enumerate(content.rows[run.starting_step :], run.starting_step):
            run.log(dict(row), step=step)
    failure: WandbFailed | None = None
    try:
        with boundary("sending table and figures"):
            if content.extra is not None:
                content.extra(run)
            if message is not None:
                run.alert(*message)
    except WandbFailed as error:  # tables are artifacts, which raise in an outage
        failure = error
    with boundary("ending a run"):
        stamp = {} if failure else {content.mark: content.stamp}
        run.summary.update({**content.summary, **stamp})
        run.finish()
    if failure:
        raise failure


def open_run(session: Session, content: RunContent, found: Arrived | None) -> Any:
    """The open run. One that is there keeps its group and tags: it may belong to other sweeps as well."""
    tags = dict.fromkeys([*(found.tags if found else ()), *content.tags])
    return session.open(
        content.name,
        name=content.title,
        job_type=content.job_type,
        group=(found.group if found else None) or shorten(session.sweep, NAME),
        tags=list(tags),
        notes=content.notes,
        config=dict(content.config),
    )
