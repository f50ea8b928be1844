"""A saved view of a sweep in W&B: PGR, scores and curves of the runs that the mirror has sent."""

from typing import TYPE_CHECKING, Any

from w2s_sweep.config.plain import from_plain
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import ROLES
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.history import EVALUATION
from w2s_sweep.tracking.wandb.session import entity_of, has_account, project_of, run_id, server_url, sweep_tag
from w2s_sweep.tracking.wandb.settings import Wandb

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

BESIDE = ("agreement", "agreement/supervisor_wrong", "gain/brier")
"""Metrics of students beside accuracy and PGR that have a panel."""
BETWEEN = tuple(f"{EVALUATION}/{role}" for role in ("student", "weak", "ceiling"))
SCORES = {"accuracy": "accuracy", "auroc": "AUROC"}
"""Of every stage with a curve: name -> title."""
BY = {"dataset": "dataset", "supervisor": "weak/name", "student": "strong/name", "loss": "loss/name"}
"""Title -> configuration of a student's run."""


def dashboard(store: Store, sweep: str, *, project: str | None, entity: str | None, again: bool) -> str:
    """The address of the sweep's view, which is made if there is none yet, or `again`. StoreError, and what to do."""
    settings = store.read_sweep(sweep)["settings"]["tracker"]
    tracker: Wandb = from_plain(Wandb, settings) if settings["name"] == Wandb.name else Wandb()
    project, entity = project or project_of(tracker), entity or entity_of(tracker)
    where = {"project": project, "entity": entity}
    record = store.sweep(sweep) / "wandb" / "dashboard.json"
    known = read_json(record)
    if known is not None and not again and {name: known[name] for name in where} == where:
        return str(known["url"])
    if not has_account():
        raise StoreError(
            "dashboard: no W&B account is at hand. Log in with `wandb login`, mirror the sweep (w2s push "
            f"{sweep} tracker=wandb), then try once more. The report needs no account."
        )
    view = workspace(sweep, project, entity or _own_entity())
    try:
        url = str(view.save().url)
    except Exception as error:
        raise StoreError(
            f"dashboard: W&B refused the view of project {view.entity}/{view.project} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}). Is the sweep mirrored into that project? "
            f"`w2s push {sweep} tracker=wandb` does that; --project and --entity name another one."
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


def workspace(sweep: str, project: str, entity: str) -> "Workspace":
    """The view, not saved yet: of the stages' runs that carry the sweep's tag. StoreError without the package for it.

    The sweep's summary run is not among them: it has medians under the names of the students' numbers.
    """
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as views
    except ImportError:
        raise StoreError(
            "dashboard: the package wandb-workspaces is missing. Install it with pip install 'w2s-sweep[dashboard]'."
        ) from None

    def bars(title: str, metric: str, by: str, how: str = "mean") -> Any:
        spread: dict[str, Any] = {"groupby": panels.Config(by), "groupby_aggfunc": how}
        spread |= {"groupby_rangefunc": "stderr"} if how == "mean" else {}
        return panels.BarPlot(title=title, metrics=[panels.SummaryMetric(metric)], orientation="h", **spread)

    def by_size(title: str, metric: str) -> Any:
        x, y = panels.Config("strong/params"), panels.SummaryMetric(metric)
        return panels.ScatterPlot(title=title, x=x, y=y, log_x=True)

    def curve(title: str, *metrics: str, by: str | None = None) -> Any:
        spread: dict[str, Any] = {"groupby": panels.Config(by)} if by else {}
        spread |= {"groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"} if by else {}
        return panels.LinePlot(title=title, x="global_step", y=list(metrics), title_x="optimizer step", **spread)

    address = f"{server_url()}/{entity}/{project}/runs/{run_id('sweep', sweep)}"
    pgr = [
        by_size("PGR by the student's parameters", "pgr"),
        bars("PGR by method, loss and fine-tuning", "pgr", "setting"),
        bars("median PGR over tasks and seeds", "pgr", "setting", "median"),
        *(bars(f"PGR by {name}", "pgr", config) for name, config in BY.items()),
        panels.MarkdownPanel(markdown=f"Table with intervals, figures and report: [the summary run]({address})"),
    ]
    scores = [
        *(by_size(f"accuracy of the {role} by the student's parameters", f"acc/{role}") for role in ROLES),
        *(bars(f"accuracy of the {role} by method, loss and fine-tuning", f"acc/{role}", "setting") for role in ROLES),
        *(bars(f"accuracy of the {role} by dataset", f"acc/{role}", "dataset") for role in ROLES),
    ]
    beside = [bars(f"{metric} by method, loss and fine-tuning", metric, "setting") for metric in BESIDE]
    evaluated = [
        curve("PGR over steps, by method, loss and fine-tuning", "pgr", by="setting"),
        curve("students over steps, and their final supervisors and ceilings", *BETWEEN, by="setting"),
        *(curve(f"{title} over steps, by role", f"{EVALUATION}/{name}", by="role") for name, title in SCORES.items()),
        *(
            curve(f"agreement where the supervisor is {so}", f"{EVALUATION}/agreement_supervisor_{so}", by="setting")
            for so in ("right", "wrong")
        ),
        curve("agreement with the supervisor", f"{EVALUATION}/agreement", by="setting"),
    ]
    curves = [curve("training loss", "loss"), curve("validation", "validation"), curve("learning rate", "lr")]
    return views.Workspace(
        entity=entity,
        project=project,
        name=f"w2s {sweep}",
        sections=[
            views.Section(name="PGR", panels=pgr, is_open=True),
            views.Section(name="Scores", panels=[*scores, *beside], is_open=True),
            views.Section(name="Over training", panels=evaluated, is_open=True),
            views.Section(name="Training", panels=curves),
        ],
        runset_settings=views.RunsetSettings(
            filters=[views.Tags().isin([sweep_tag(sweep)]), views.Metric("JobType") != "summary"],
            pinned_columns=[*(f"config:{name}" for name in ("role", "dataset", "setting", "seed")), "summary:pgr"],
        ),
    )
