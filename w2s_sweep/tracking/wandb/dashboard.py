"""A saved view of a sweep in W&B: PGR, scores, figures and curves of the runs that the mirror has sent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.config.plain import from_plain
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import ROLES
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.wandb.session import has_account
from w2s_sweep.tracking.wandb.settings import Wandb

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

BESIDE = ("agreement", "agreement/supervisor_wrong", "gain/brier")
"""Metrics of students beside accuracy and PGR that have a panel."""


def dashboard(store: Store, sweep: str, *, project: str | None, entity: str | None, again: bool) -> str:
    """The address of the sweep's view, which is made if there is none yet, or `again`. StoreError, and what to do."""
    settings = store.read_sweep(sweep)["settings"]["tracker"]
    tracker: Wandb = from_plain(Wandb, settings) if settings["name"] == Wandb.name else Wandb()
    project, entity = project or tracker.project, entity or tracker.entity
    where = {"project": project, "entity": entity}
    record = store.sweep(sweep) / "wandb" / "dashboard.json"
    known = read_json(record)
    if known is not None and not again and {name: known[name] for name in where} == where:
        return str(known["url"])
    if not has_account():
        raise StoreError(
            "dashboard: no W&B account is at hand. Log in with `wandb login`, mirror the sweep (the same command with "
            "tracker=wandb; nothing is trained again), then try once more. The report needs no account."
        )
    figures = sorted(path.stem for path in (store.sweep(sweep) / "figures").glob("*.png"))
    view = workspace(sweep, figures, project, entity or _own_entity())
    try:
        url = str(view.save().url)
    except Exception as error:
        raise StoreError(
            f"dashboard: W&B refused the view of project {view.entity}/{view.project} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}). Is the sweep mirrored into that project? "
            "The same command with tracker=wandb does that; --project and --entity name another one."
        ) from error
    write_json(record, where | {"url": url})
    return url


def _own_entity() -> str:
    import wandb

    try:
        found = wandb.Api(timeout=20).default_entity
    except Exception as error:
        raise StoreError(
            f"dashboard: W&B does not answer ({type(error).__name__}). Name your user or team with --entity."
        ) from error
    if not found:
        raise StoreError("dashboard: W&B knows no default entity of yours. Name your user or team with --entity.")
    return str(found)


def workspace(sweep: str, figures: Sequence[str], project: str, entity: str) -> "Workspace":
    """The view, not saved yet: of the runs that carry the sweep's tag. StoreError without the package for it."""
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as views
    except ImportError:
        raise StoreError(
            "dashboard: the package wandb-workspaces is missing. Install it with pip install 'w2s-sweep[dashboard]'."
        ) from None

    def bars(title: str, metric: str, by: str) -> Any:
        spread: dict[str, Any] = {
            "groupby": panels.Config(by),
            "groupby_aggfunc": "mean",
            "groupby_rangefunc": "stderr",
        }
        return panels.BarPlot(title=title, metrics=[panels.SummaryMetric(metric)], orientation="h", **spread)

    def curve(title: str, metric: str) -> Any:
        return panels.LinePlot(title=title, x="global_step", y=[metric], title_x="optimizer step")

    pgr = [
        panels.LinePlot(title="PGR by the student's parameters", x="strong_params", metric_regex="^pgr/", log_x=True),
        bars("PGR by loss", "pgr", "loss/name"),
        bars("PGR by dataset", "pgr", "dataset/name"),
        bars("PGR by student", "pgr", "model/name"),
        panels.WeavePanelSummaryTable(table_name="results"),
    ]
    scores = [bars(f"accuracy of the {role}, by dataset", f"acc/{role}", "dataset/name") for role in ROLES]
    beside = [bars(f"{metric} by loss", metric, "loss/name") for metric in BESIDE]
    shown = panels.MediaBrowser(media_keys=[*(f"figures/{name}" for name in figures), "report"], num_columns=2)
    curves = [curve("training loss", "loss"), curve("validation", "validation"), curve("learning rate", "lr")]
    return views.Workspace(
        entity=entity,
        project=project,
        name=f"w2s {sweep}",
        sections=[
            views.Section(name="PGR", panels=pgr, is_open=True),
            views.Section(name="Figures and report", panels=[shown], is_open=True),
            views.Section(name="Scores", panels=[*scores, *beside], is_open=True),
            views.Section(name="Training", panels=curves),
        ],
        runset_settings=views.RunsetSettings(filters=[views.Tags().isin([sweep])]),
    )
