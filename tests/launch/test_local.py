"""The local launcher, from the command line to the table, with tiny models: real processes, a real store."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import launch, sweep_record, trained
from tests.tiny import tiny_bert, tiny_llama
from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.sweep import CellResult, Ran
from w2s_sweep.metrics import accuracy
from w2s_sweep.predictions import read_predictions
from w2s_sweep.store import Store

FAST = ["finetune=full", "finetune.lr=0.003", "finetune.epochs=1", "threads=1", "tracker=none"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory, tiny_models, tiny_task):
    """A grid of 2 losses x 2 seeds x 2 weak models that has run once."""
    store = tmp_path_factory.mktemp("grid") / "store"
    keep = "weak.keep_layers=1,null"  # two weak models that differ in what they keep
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, "loss=xent,confidence", "seed=0,1", keep]
    status, out, err = launch(*argv)
    assert status == 0, err
    return store, argv, out


@pytest.mark.slow
def test_what_is_trained_is_what_is_unique(grid):
    store, _, out = grid
    record = sweep_record(store)
    assert len(record["cells"]) == 8
    asked, unique = map(int, re.search(r"ask for (\d+) stages; (\d+) are unique", out).groups())
    assert asked == 8 * 4
    # 2 supervisors and 2 students a loss for each of 2 seeds, one ceiling a seed, and the data
    assert unique == 2 * (2 + 2 * 2 + 1) + 1 == len(record["stages"])
    assert len(trained(store)) == unique - 1
    assert len(list((store / "stages").iterdir())) == unique


AGAIN = """
import sys
from w2s_sweep.launch.main import main
status = main("launch.py", sys.argv[1:])
heavy = ("torch", "transformers", "peft", "matplotlib", "submitit", "wandb")
print("loaded:", *(name for name in heavy if name in sys.modules))
sys.exit(status)
"""


@pytest.mark.slow
def test_running_it_again_trains_nothing_draws_nothing_and_loads_no_library_for_it(grid):
    store, argv, _ = grid
    kept = [*(store / "stages").rglob("*"), *store.glob("sweeps/*/figures/*")]
    assert any(path.suffix == ".png" for path in kept)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept}
    done = subprocess.run([sys.executable, "-c", AGAIN, *argv], capture_output=True, text=True, check=True)
    assert "0 to run" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before


@pytest.mark.slow
def test_every_number_can_be_traced_and_the_report_is_there(grid):
    store, _, out = grid
    folder = store / "sweeps" / sweep_record(store)["name"]
    for name in ("report.html", "table.csv", "table.parquet"):
        assert (folder / name).stat().st_size > 100
    assert {p.suffix for p in folder.rglob("*pgr*")} >= {".png", ".svg"}
    assert str(folder / "report.html") in out
    code = sweep_record(store)["code"]
    assert code["version"] in (folder / "report.html").read_text()
    assert code["commit"] is None or re.fullmatch("[0-9a-f]{40}", code["commit"])
    for cell in sweep_record(store)["cells"]:
        assert all((store / "stages" / key).is_dir() for key in cell["roles"].values())


@pytest.mark.slow
def test_seeds_differ(grid):
    store, _, _ = grid
    assert len(set(trained(store).values())) == len(trained(store))


@pytest.mark.slow
def test_seeds_differ_where_all_share_one_deal_of_the_rows(tmp_path, tiny_models, tiny_task):
    """Runs of "several seeds" were once one seed several times; here nothing but the order of the rows differs."""
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *FAST, "loss=gce", "seed=0,1", "dataset.split_seed=0"]
    status, _, err = launch("-m", *argv)
    assert status == 0, err
    assert len(set(trained(tmp_path).values())) == len(trained(tmp_path)) == 2 * 3


@pytest.mark.slow
def test_explain_verify_status_and_gc(grid, capsys):
    store, _, _ = grid
    one, two = sorted(trained(store))[:2]
    assert w2s(["--store", str(store), "explain", one[:8], two[:8]]) == 0
    assert "settings" in capsys.readouterr().out
    assert w2s(["--store", str(store), "verify"]) == 0
    assert "0 damaged" in capsys.readouterr().out
    assert w2s(["--store", str(store), "status"]) == 0
    assert "15 done" in capsys.readouterr().out
    assert w2s(["--store", str(store), "gc", "--unreferenced"]) == 0
    assert "0 folders" in capsys.readouterr().out
    assert w2s(["--store", str(store), "report", "nosuch"]) == 1
    assert "Sweeps there" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_stage_is_found_and_made_again_bit_for_bit(grid, capsys):
    store, argv, _ = grid
    before = trained(store)
    key = sorted(before)[0]
    path = store / "stages" / key / "predictions.parquet"
    path.write_bytes(before[key][:-1] + b"x")
    assert w2s(["--store", str(store), "verify"]) == 1
    assert "1 damaged" in capsys.readouterr().out
    status, out, err = launch(*argv)
    assert status == 0, err
    assert "1 to run" in out
    assert trained(store) == before


def test_texts_too_long_for_a_model_are_refused_before_anything_is_trained(tmp_path, tiny_models, tiny_task):
    store, weak = tmp_path / "store", tiny_bert(tmp_path / "bert", positions=16)
    rows = next(Path(line.partition("=")[2]) for line in tiny_task if line.startswith("dataset.path"))
    long = tmp_path / "long.jsonl"
    long.write_text(rows.read_text() + json.dumps({"sentence": " good" * 40, "label": 1}) + "\n")
    argv = [*tiny_models, *tiny_task, *FAST, f"weak.path={weak}", "weak.feature_layer=null", "dataset.max_tokens=99"]
    status, _, err = launch(f"store={store}", *argv, f"dataset.path={long}")
    assert status == 1
    assert "dataset.max_tokens: 99 lets a text of 42 tokens through, more than the 16 positions of tiny-weak" in err
    assert trained(store) == {}


@pytest.mark.slow
def test_lora_targets_that_a_model_has_not_are_refused_before_anything_is_trained(tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    targets = "+strong.lora_targets=[q_proj],[nope,v_proj]"
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, "finetune=lora", targets]
    status, _, err = launch(*argv)
    assert status == 1
    assert "lora_targets of tiny-strong: unknown name 'nope'" in err
    assert "q_proj" in err
    assert trained(store) == {}


@pytest.mark.slow
def test_a_failing_stage_fails_its_own_cells_alone(tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    words = "+strong.label_words=[' bad',' good'],[' nope',' nope']"
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, "finetune=lora", "finetune.head_init=label_words"]
    argv += ["weak.label_words=[' bad',' good']", words]
    status, out, err = launch(*argv)
    assert status == 1
    assert "1 of 2 cells failed" in err
    assert "Traceback" not in err
    assert "nope" in out
    assert "nope" not in err
    assert len(trained(store)) == 3
    table = (store / "sweeps" / sweep_record(store)["name"] / "table.csv").read_text()
    assert table.count("failed") == 1
    failures = list((store / "work").glob("*/failure.json"))
    assert len(failures) == 2
    assert all("nope" in json.loads(p.read_text())["error"] for p in failures)
    assert "failed" in out


@pytest.mark.slow
def test_one_cell_is_the_same_stages_as_in_a_grid(grid, tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    assert launch(f"store={store}", *tiny_models, *tiny_task, *FAST, "loss=confidence", "seed=1")[0] == 0
    assert len(trained(store)) == 3
    assert trained(store).items() <= trained(grid[0]).items()


def best_of_search(store, objective: str) -> tuple[float, list[float]]:
    """(what Optuna found, the objective of every cell from the validation rows of its predictions)."""
    record = sweep_record(store)
    values = []
    for cell in record["cells"]:
        roles = [read_predictions(store / "stages" / cell["roles"][role] / "predictions.parquet", "validation")
                 for role in ("weak", "student", "ceiling")]  # fmt: skip
        right = [accuracy(role.probs, role.truth) for role in roles]
        same = (roles[0].probs.argmax(1) == roles[1].probs.argmax(1)).mean()
        values.append((right[1] - right[0]) / (right[2] - right[0]) if objective == "validation_pgr" else same)
    found = (store / "sweeps" / ".hydra" / record["name"] / "optimization_results.yaml").read_text()
    return float(re.search(r"best_value: (.*)", found).group(1)), values


LR = "finetune.lr=interval(0.003,0.006)"
SEARCHES = {
    "losses": ["objective=validation_pgr", "loss=choice(xent,confidence)", LR],
    "agreement": ["objective=weak_agreement", "loss=choice(xent,confidence)", LR],
    "random": ["hydra/sweeper/sampler=random", "objective=validation_pgr", "seed=choice(3,4)", LR],
    "grid": ["hydra/sweeper/sampler=grid", "objective=weak_agreement", "finetune.epochs=choice(3,6)"],
    "integers": ["hydra/sweeper/sampler=random", "objective=validation_pgr", "finetune.epochs=range(5,7)"],
}
"""Different objectives, samplers and spaces."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [("agreement", "integers"), pytest.param(tuple(SEARCHES), marks=pytest.mark.extensive)], ids=len
)
def test_an_optimising_sweeper_is_given_validation_rows_alone(tmp_path, tiny_models, tiny_task, names):
    """Searches in one store: each finds the best of its own cells, and keeps it in a place of its own.

    The supervisor is narrow, so that the PGR is defined by a wide margin.
    """
    pytest.importorskip("optuna")
    store = tmp_path / "store"
    narrow = f"weak.path={tiny_llama(tmp_path / 'narrow', layers=1, hidden=8)}"
    for name in names:
        search = SEARCHES[name]
        sampler = [] if "hydra/sweeper/sampler=grid" in search else ["hydra.sweeper.sampler.seed=0"]
        trials = ["hydra/sweeper=optuna", f"name={name}", "hydra.sweeper.n_trials=2", *sampler]
        cell = [*tiny_models, narrow, "weak.pooling=mean", *tiny_task, *FAST, "finetune.epochs=6"]
        status, _, err = launch("-m", f"store={store}", *cell, *trials, *search)
        assert status == 0, err
        best, values = best_of_search(store, search_objective(search))
        assert len(values) == 2
        assert best == pytest.approx(max(values))
    assert len(list((store / "sweeps" / ".hydra").glob("*/optimization_results.yaml"))) == len(names)


def search_objective(words):
    return next(word.partition("=")[2] for word in words if word.startswith("objective="))


@pytest.mark.slow
def test_a_search_goes_on_after_cells_without_a_value(tmp_path, tiny_models, tiny_task, monkeypatch):
    """An undefined objective ended the study; where no cell has one, that is said."""
    pytest.importorskip("optuna")
    results = iter(
        [CellResult(math.nan, undefined="the gap is 0"), CellResult(0.5), CellResult(0.25), CellResult(0.75)]
    )
    monkeypatch.setattr(
        "w2s_sweep.launch.plugin.run_sweep",
        lambda request, engine: Ran(Store(tmp_path), "x", [next(results) for _ in request.composed[request.earlier :]]),
    )
    trials = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2"]
    search = ["objective=validation_pgr", "finetune.l2=interval(0.1,1)", *trials]
    argv = ["-m", f"store={tmp_path}", *tiny_models, *tiny_task, *search]
    assert "name: null" in launch(*argv)[2]
    status, _, err = launch(*argv, "name=one")
    assert status == 0, err
    assert "best_value: 0.75" in (tmp_path / "sweeps" / ".hydra" / "one" / "optimization_results.yaml").read_text()
    results = iter([CellResult(math.nan, undefined="the gap is 0")] * 4)
    status, _, err = launch(*argv, "name=two")
    assert (status, err.splitlines()[-1][:40]) == (1, "No cell of the search had a value: see i")


@pytest.mark.slow
def test_w2s_run_is_launch_py(tmp_path, capfd):
    argv = ["experiment=debug", "plan_only=true", f"store={tmp_path}"]
    assert w2s(["run", *argv]) == 0
    planned = capfd.readouterr().out
    status, out, _ = launch(*argv)
    assert (status, out) == (0, planned)
    assert w2s(["--store", str(tmp_path), "run", *argv[:-1]]) == 0
    assert capfd.readouterr().out == planned
    assert w2s(["run", "loss=nope"]) == 1
    assert "unknown name 'nope'" in capfd.readouterr().err
