"""GPUs of the local engine and of a task: who computes on which, and what a broken or a missing one does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.setups import data_stage, dataset
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import DeviceLost, W2SError
from w2s_sweep.kinds.base import Hints
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.models.device import is_lost, pick_device
from w2s_sweep.plan import packs
from w2s_sweep.plan.graph import ABSENT, Graph, Plan
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.runner.worker import LOST
from w2s_sweep.sources import identify
from w2s_sweep.store import Store

ROOT = Path(__file__).parents[2]

FIRST_DIES = '''"""A worker imports this: the first one dies, the second waits for the third, which tells its GPU."""
import os
from pathlib import Path

HERE = Path(__file__).parent


def turn():
    for number in (1, 2, 3):
        try:
            (HERE / f"worker-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number


number, gpu = turn(), os.environ["CUDA_VISIBLE_DEVICES"]
if number == 1:
    (HERE / "died").write_text(gpu)
    os._exit(STATUS)
if number == 2:
    (HERE / "told").write_text((HERE / "came").read_text())
if number == 3:
    (HERE / "came").write_text(gpu)
'''


def rows(folder: Path, name: str, wrong: bool = False) -> Stage:
    """A data stage of a file of its own."""
    path = folder / f"{name}.jsonl"
    lines = [json.dumps({"sentence": f"sentence {name} {i}", "label": 5 if wrong else i % 2}) for i in range(9)]
    path.write_text("\n".join(lines))
    source = LocalSource(path=str(path))
    hints = Hints(label=name, dataset=replace(dataset(), source=source))
    return replace(data_stage(source=identify(source, "dataset")), hints=hints)


def ready(store: Path, stages: list[Stage], modules: tuple[str, ...] = ()) -> Job:
    there = Store(store)
    there.prepare()
    graph = Graph({stage.key: stage for stage in stages}, (), len(stages))
    plan = Plan(graph, dict.fromkeys(graph.stages, "to run"), dict.fromkeys(graph.stages, ABSENT))
    job = Job("sweep", Sweep(store=str(store), modules=modules), there, plan, lambda: plan)
    job.folder.mkdir(parents=True)
    return job


@pytest.mark.slow
@pytest.mark.parametrize("status", [9, LOST])
def test_the_successor_of_a_worker_that_died_takes_its_gpu(tmp_path, monkeypatch, status):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    (tmp_path / "first.py").write_text(FIRST_DIES.replace("STATUS", str(status)))
    os.mkfifo(tmp_path / "came")
    stages = [rows(tmp_path, name) for name in "xyz"]
    job = ready(tmp_path / "store", stages, (str(tmp_path / "first.py"),))
    assert LocalEngine(pack_flops=0).run(job)
    done = [job.store.is_done(stage.key) for stage in stages]
    # a GPU context that broke is not the fault of the stage that was to come next
    assert sorted(done) == ([True] * 3 if status == LOST else [False, True, True])
    told = (tmp_path / "told").read_text()
    assert told == (tmp_path / "died").read_text()


def break_gpu(monkeypatch) -> None:
    """What torch does once a kernel has failed an assertion."""

    def synchronize() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)


def test_after_a_failure_that_broke_the_gpu_the_process_ends_and_the_next_one_does_the_rest(tmp_path, monkeypatch):
    bad, good = rows(tmp_path, "bad", wrong=True), rows(tmp_path, "good")
    job = ready(tmp_path / "store", [bad, good])
    pack = Pack(job.store, [bad, good], RunSettings())
    with monkeypatch.context() as broken:
        break_gpu(broken)
        assert is_lost()
        with pytest.raises(DeviceLost) as lost:
            run_pack(pack, stop=lambda: False)
    assert lost.value.failed == (bad.key,)
    assert not job.store.is_done(good.key)
    assert run_pack(pack, stop=lambda: False, failed=lost.value.failed) == {bad.key: "failed", good.key: "done"}


def test_a_failure_of_a_stage_alone_ends_no_process(tmp_path):
    bad, good = rows(tmp_path, "bad", wrong=True), rows(tmp_path, "good")
    job = ready(tmp_path / "store", [bad, good])
    assert not is_lost()
    outcomes = run_pack(Pack(job.store, [bad, good], RunSettings()), stop=lambda: False)
    assert outcomes == {bad.key: "failed", good.key: "done"}


def test_after_a_failure_the_gpu_is_looked_at_once(tmp_path, monkeypatch):
    """Looking waits for all that it computes."""
    stages, looks = [rows(tmp_path, "bad", wrong=True), rows(tmp_path, "good"), rows(tmp_path, "more")], []
    job = ready(tmp_path / "store", stages)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: looks.append(1))
    run_pack(Pack(job.store, stages, RunSettings()), stop=lambda: False)
    assert len(looks) == 1


TELLS = """
import os
from pathlib import Path

Path(__file__).with_suffix(".told").write_text(os.environ["W2S_STAGES_PER_GPU"])
"""


@pytest.mark.parametrize(
    ("processes", "beside"),
    [(None, 1), pytest.param(1, 1, marks=pytest.mark.slow), pytest.param(2, 1, marks=pytest.mark.slow), (3, 2)],
)
def test_workers_know_how_many_share_their_gpu(tmp_path, monkeypatch, processes, beside):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    engine = LocalEngine(processes=processes)
    assert (engine.beside, len(engine.places())) == (beside, processes or 2)
    if processes == 3:
        (tmp_path / "tells.py").write_text(TELLS)
        assert engine.run(ready(tmp_path / "store", [rows(tmp_path, "x")], (str(tmp_path / "tells.py"),)))
        assert (tmp_path / "tells.told").read_text() == "2"


BREAKS_ONCE = '''"""The first process of a task loses its GPU with the first failure."""
from pathlib import Path

import torch

here = Path(__file__).with_suffix(".once")
if not here.exists():
    here.touch()

    def synchronize():
        raise RuntimeError("CUDA error: device-side assert triggered")

    torch.cuda.is_initialized = lambda: True
    torch.cuda.synchronize = synchronize
'''


@pytest.mark.slow
def test_a_task_of_a_cluster_goes_on_as_a_new_program_in_the_same_process(tmp_path):
    (tmp_path / "breaks.py").write_text(BREAKS_ONCE)
    bad, good = rows(tmp_path, "bad", wrong=True), rows(tmp_path, "good")
    job = ready(tmp_path / "store", [bad, good], (str(tmp_path / "breaks.py"),))
    spec = job.write_spec(packs.Pack("pack", (bad, good), frozenset()))
    code = f"from w2s_sweep.launch.slurm import job; job.run_job({str(spec)!r})"
    task = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert task.returncode == 1, task.stderr  # a stage has failed
    assert task.stderr.count("another process does what is left") == 1
    assert task.stderr.count("start bad") == 1
    assert job.store.is_done(good.key)


def test_a_gpu_that_was_given_and_cannot_be_used_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.delenv("W2S_GPUS", raising=False)
    assert pick_device().type != "cuda"
    monkeypatch.setenv("W2S_GPUS", "1")
    with pytest.raises(W2SError, match=r"given 1 GPU \(CUDA_VISIBLE_DEVICES=3\).*Install a build of torch"):
        pick_device()


@pytest.mark.slow
def test_a_worker_takes_as_many_gpus_as_its_pack_needs_and_gives_them_back(tmp_path, monkeypatch):
    """A pack that needs both GPUs waits for a worker that has one of them, and the next one takes one again."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    (tmp_path / "tells.py").write_text(
        "import os\nfrom pathlib import Path\nnames = ('CUDA_VISIBLE_DEVICES', 'W2S_RANKS', 'W2S_GPUS')\n"
        "with Path(__file__).with_suffix('.told').open('a') as file:\n"
        "    print(*(os.environ[name] for name in names), file=file)\n"
    )
    stages = [rows(tmp_path, name) for name in ("x", "y", "z")]
    wanted = {stages[0].key: 1, stages[1].key: 2, stages[2].key: 1}
    engine = LocalEngine()
    monkeypatch.setattr(engine, "gpus_of", lambda pack: wanted[pack.keys[0]])
    assert engine.run(ready(tmp_path / "store", stages, (str(tmp_path / "tells.py"),)))
    told = (tmp_path / "tells.told").read_text().splitlines()
    assert "a,b 2 2" in told or "b,a 2 2" in told
    assert all(Store(tmp_path / "store").is_done(stage.key) for stage in stages)


@pytest.mark.parametrize("change", [{"gpus": 3}, {"gpus": 0}, {"cpu_ranks": 0}])
def test_gpus_that_are_not_there_are_refused(monkeypatch, change):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    with pytest.raises(W2SError, match=rf"hydra.launcher.{next(iter(change))}: got"):
        LocalEngine(**change)
