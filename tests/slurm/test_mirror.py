"""The last job of a real SLURM mirrors a sweep that nobody waits for, with the real client to a server that counts."""

import json

from tests.command import launch
from tests.slurm.launching import FAST, SMALL, sweep_folder
from tests.slurm.processes import wait_until
from tests.tracking.server import serve
from w2s_sweep.store import Store, read_jsonl
from w2s_sweep.tracking.wandb.session import run_id

WANDB = ["tracker=wandb", "tracker.project=p", "tracker.mode=online"]
EVALUATIONS = 3


def test_the_last_job_sends_every_curve_once_where_nobody_waits(slurm, tmp_path, tiny_models, tiny_task, monkeypatch):
    store = Store(tmp_path / "store")
    fast = [word for word in FAST if word != "tracker=none"]
    with serve() as server:
        here = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0" * 40, "WANDB_CONFIG_DIR": str(tmp_path)}
        for name, value in {**slurm.env(), **here, "NETRC": str(tmp_path / "netrc")}.items():
            monkeypatch.setenv(name, value)
        argv = [*tiny_models, *tiny_task, *fast, *SMALL, *WANDB, f"test_evaluations={EVALUATIONS}"]
        status, out, err = launch(f"store={store.root}", *argv)
        assert status == 0, err
        assert "mirrors the sweep to wandb when its jobs have ended" in out
        folder = sweep_folder(store.root)
        log = folder / "jobs" / "last.log"
        wait_until(lambda: log.is_file() and "W&B " in log.read_text(), 240, "the last job")
        assert "W&B me/p: 4 runs sent now, 0 there before" in log.read_text()
    assert (folder / "report.html").is_file()
    record = json.loads((folder / "sweep.json").read_text())
    ((student, weak, ceiling),) = ([cell["roles"][role] for role in ("student", "weak", "ceiling")]
                                   for cell in record["cells"])  # fmt: skip
    for key in (student, weak, ceiling):
        rows = server.run(run_id("stage", key)).rows
        own = read_jsonl(store.path(key) / "metrics.jsonl")
        assert [row["global_step"] for row in rows[: len(own)]] == [row["step"] for row in own]
        assert sum("eval/accuracy" in row for row in rows) == EVALUATIONS
        assert sum("eval/agreement" in row for row in rows) == (EVALUATIONS if key == student else 0)
    assert server.run(run_id("sweep", record["name"])).about["jobType"] == "summary"
