"""The saved view in W&B: it names what the mirror sends and nothing else, and says what to do where there is none."""

import json

import pytest

from tests.results_store import NAME, Shape, build
from tests.tracking.test_push import send
from w2s_sweep.cli import main as w2s
from w2s_sweep.results.collect import collect
from w2s_sweep.store.files import manifest_of, write_json
from w2s_sweep.store.store import MANIFEST
from w2s_sweep.tracking.wandb.dashboard import workspace
from w2s_sweep.tracking.wandb.session import run_id

EVALUATED = {
    f"eval/{name}"
    for name in ("accuracy", "auroc", "weak", "student", "ceiling", "agreement", "agreement_supervisor_right",
                 "agreement_supervisor_wrong")
}  # fmt: skip
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""W&B's package for views is written in an older style of pydantic."""


def view_columns(view) -> list[str]:
    """`config:dataset`, `summary:pgr`: the columns of its table of runs."""
    return list(view.runset_settings.pinned_columns)


@pytest.mark.slow
@OLD
def test_the_view_shows_what_a_student_has_and_leaves_the_summary_run_out(server, tmp_path):
    """Every name in a panel, a filter and a column is one that the server was sent."""
    store = build(tmp_path, Shape(n_test=200, share=(0.3, 0.35, 0.45), curve=((0.6, 0.6, 0.7), (0.6, 0.8, 0.9))))
    row = collect(store, NAME).rows[0]
    folder = store.path(row.student_key)
    with (folder / "metrics.jsonl").open("a") as file:  # as early stopping does
        file.write(json.dumps({"step": 5, "total": 5, "validation": 0.5}) + "\n")
    write_json(folder / MANIFEST, {"key": row.student_key, "files": manifest_of(folder)})
    assert send(store).complete
    student = server.run(run_id("stage", row.student_key))
    logged = {name for line in student.rows for name in line}
    view = json.loads(workspace(NAME, "p", "me")._to_model().model_dump_json(by_alias=True))["spec"]
    panels = [panel for s in view["section"]["panelBankConfig"]["sections"] for panel in s["panels"]]
    configs = [panel["config"] for panel in panels]
    lines = {name for c in configs if c.get("xAxis") == "global_step" for name in c["metrics"]}
    bars = {name for c in configs if c.get("groupBy") for name in c["metrics"]}
    axes = {c[axis] for c in configs for axis in ("xAxis", "yAxis") if "yAxis" in c}
    summary = {
        name.removeprefix("summary:").removeprefix("summary_metrics.") for name in bars | axes if "config" not in name
    }
    grouped = {c["groupBy"].removesuffix(".value") for c in configs if c.get("groupBy")}
    sizes = {
        name.removeprefix("config:").removeprefix("config.").removesuffix(".value") for name in axes if "config" in name
    }
    assert lines == {"loss", "validation", "lr", "pgr", *EVALUATED} <= logged
    by_setting = {
        name for c in configs if c.get("xAxis") == "global_step" and c.get("groupBy") for name in c["metrics"]
    }
    assert by_setting == {"pgr", *EVALUATED}
    assert summary >= {"pgr", "acc/weak", "acc/student", "acc/ceiling"}
    assert summary <= student.summary.keys()
    assert grouped | sizes == {
        "role", "setting", "dataset", "weak/name", "strong/name", "loss/name", "strong/params",
    }  # fmt: skip
    assert grouped | sizes <= student.config.keys()
    columns = [name.split(":", 1) for name in view_columns(workspace(NAME, "p", "me"))]
    assert {where for where, _ in columns} >= {"config", "summary"}
    assert {name for where, name in columns if where == "config"} <= student.config.keys()
    assert {name for where, name in columns if where == "summary"} <= student.summary.keys()
    filters = json.dumps(view["section"]["runSets"][0]["filters"])
    assert f'"value": ["{NAME}"]' in filters
    assert '"name": "jobType"' in filters
    assert '"op": "!="' in filters
    assert '"value": "summary"' in filters
    assert server.run(run_id("sweep", NAME)).about["jobType"] == "summary"


@pytest.mark.slow
def test_without_an_account_there_is_no_view_but_a_word_what_to_do(tmp_path, capsys):
    store = build(tmp_path, Shape())
    command = ["--store", str(store.root), "dashboard", NAME]
    assert w2s(command) == 1
    assert "wandb login" in capsys.readouterr().err
    write_json(
        store.sweep(NAME) / "wandb" / "dashboard.json", {"url": "https://host/view", "project": "p", "entity": None}
    )
    assert w2s(command) == 0
    assert capsys.readouterr().out == "https://host/view\n"
    assert w2s([*command, "--project", "other"]) == 1
    assert "wandb login" in capsys.readouterr().err


@OLD
@pytest.mark.slow
def test_a_server_that_refuses_the_view_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    store = build(tmp_path, Shape())
    assert w2s(["--store", str(store.root), "dashboard", NAME, "--entity", "me"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("dashboard: W&B")
    assert said.count("\n") == 1
