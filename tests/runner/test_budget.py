"""How a stage is run on a device that it only just fits: other passes, the same results. The device's size is made up,
what is in it is computed on the CPU."""

import dataclasses
import json
import os
import random
import threading

import pytest
import torch
from safetensors.torch import load_file

from tests.setups import cell
from tests.tiny import tiny_llama
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.kinds.memory import CONTEXT, ENOUGH_TOKENS, HEADROOM, Memory
from w2s_sweep.launch.needs import memory_of
from w2s_sweep.models.device import frozen_dtype, peak_memory
from w2s_sweep.runner import budget, process_cache, throughput
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.runner.worker import run_files
from w2s_sweep.sources import identify
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

TUNED = {"lr": 3e-3, "epochs": 1, "batch_size": 8}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("budget"), random.Random(0)
    lines = [
        json.dumps({"sentence": f"the film {i} {draw.choice(('good', 'bad'))}" * draw.randint(1, 3), "label": i % 2})
        for i in range(40)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    source = LocalSource(path=str(tiny_llama(folder / "model", layers=3)))
    model = Model(name="tiny", source=source, params=30_000, layers=3, hidden=32, lora_targets=("q_proj", "v_proj"))
    data = Dataset(name="rows", task="sst2", source=LocalSource(path=str(folder / "rows.jsonl")), max_tokens=24)
    return dataclasses.replace(cell(), dataset=data, weak=model, strong=dataclasses.replace(model, name="strong"))


def run(base, finetune, folder):
    """Outcome, summary, failure and predictions of the ceiling of a cell."""
    store, graph = Store(folder), merge([dataclasses.replace(base, finetune=finetune)], identify)
    store.prepare()
    key = graph.roles[0].ceiling
    assert key is not None
    stages = [graph.stages[one] for one in (*graph.stages[key].inputs.values(), key)]
    outcome = run_pack(Pack(store, stages, RunSettings(threads=1)), lambda: False)[key]
    if outcome != "done":
        return graph.stages[key], read_json(store.work(key) / "failure.json") or {}, None
    found = store.path(key)
    return graph.stages[key], read_json(found / "summary.json") or {}, (found / "predictions.parquet").read_bytes()


def has(monkeypatch, tokens, stage, *, checkpointing):
    """A device with room for passes of `tokens` tokens."""
    need = memory_of(stage)
    each = need.token_checkpointed if checkpointing else need.token
    size = (CONTEXT + need.fixed + each * (tokens + 0.5)) / HEADROOM
    monkeypatch.setattr(budget, "memory_bytes", lambda device: size)


@pytest.mark.slow
@pytest.mark.parametrize("finetune", [Full(**TUNED), Lora(**TUNED)], ids=lambda one: one.name)
def test_checkpointing_changes_no_bit(base, finetune, tmp_path, monkeypatch):
    stage, plain, expected = run(base, finetune, tmp_path / "cpu")
    assert "checkpointing" not in plain
    has(monkeypatch, 2048, stage, checkpointing=True)
    _, said, found = run(base, finetune, tmp_path / "small")
    assert (said["checkpointing"], said["tokens a pass"]) == (True, 2048)
    assert found == expected  # the passes are those of a CPU
    has(monkeypatch, 24, stage, checkpointing=True)
    assert run(base, finetune, tmp_path / "smaller")[1]["tokens a pass"] == 24


def test_a_stage_that_fits_in_no_way_fails_with_what_helps(base, tmp_path, monkeypatch):
    stage, *_ = run(base, Full(**TUNED), tmp_path / "cpu")
    has(monkeypatch, 20, stage, checkpointing=True)
    _, failure, _ = run(base, Full(**TUNED), tmp_path / "small")
    assert "needs about 1 GB for one row of 24 tokens" in failure["error"]
    assert "a lower dataset.max_tokens" in failure["error"]


def test_what_made_a_result_stands_in_its_summary(base, tmp_path):
    _, said, _ = run(base, Lora(**TUNED, precision="fp32"), tmp_path / "cpu")
    assert (said["device"], said["torch"], said["products"]) == ("cpu", torch.__version__, "fp32")
    assert (said["GPUs"], said["processes"], said["weights"], said["batches"]) == (0, 1, "float32", "packed")
    assert said["device name"]
    assert said["padding"] == 0
    assert 0 < said["tokens per second"] < said["FLOP per second"]
    assert (said["MFU"], said["MFU unknown"]) == (None, "no peak is known of the device cpu")
    assert 0.05 < said["peak RSS GB"] < 100
    assert "peak memory GB" not in said


def test_the_share_of_a_known_peak_is_said(base, tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "peak", lambda device, precision: throughput.Peak(1e9))
    _, said, _ = run(base, Full(**TUNED), tmp_path)
    assert said["MFU"] == pytest.approx(said["FLOP per second"] / 1e9)
    assert "MFU unknown" not in said


def test_frozen_weights_are_in_16_bits_on_a_gpu_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert frozen_dtype(gpu, "bf16") == torch.bfloat16
    assert {frozen_dtype(cpu, "bf16"), frozen_dtype(gpu, "fp32"), frozen_dtype(cpu, "fp32")} == {torch.float32}


def test_adapters_train_in_32_bits_on_frozen_weights_in_16(base, tmp_path, monkeypatch):
    monkeypatch.setattr(process_cache, "frozen_dtype", lambda device, precision: torch.bfloat16)
    stage, said, found = run(base, Lora(**TUNED), tmp_path)
    assert found is not None, said
    weights = load_file(Store(tmp_path).path(stage.key) / "weights.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert any(".lora_A." in name for name in weights)


def test_repeatable_bits_are_asked_of_torch_for_the_stages_of_such_a_command(base, tmp_path, monkeypatch):
    """Also what cuBLAS needs for it, which it reads once; the next command of a process is free of it again."""
    for name in ("CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that what is set below ends with the test
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    graph = merge([dataclasses.replace(base, finetune=Full(**TUNED))], identify)
    key = graph.roles[0].ceiling
    assert key is not None
    stages = [graph.stages[one] for one in (*graph.stages[key].inputs.values(), key)]
    asked: list[bool] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    for wanted in (True, False):
        store = Store(tmp_path / str(wanted))
        store.prepare()
        spec = tmp_path / f"{wanted}.json"
        run = {"threads": 1, "deterministic": wanted}
        plain = {"store": str(store.root), "modules": [], "run": run}
        write_json(spec, plain | {"stages": [stage.to_json() for stage in stages]})
        assert run_files([str(spec)], threading.Event()) == 0
        assert (read_json(store.path(key) / "summary.json") or {})["deterministic"] is wanted
    assert asked == [True, False]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_gpu_stage_says_what_it_held_of_the_machine_too(monkeypatch):
    """Submissions ask for memory by it. No GPU is needed to read it."""
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5e9)
    said = peak_memory(torch.device("cuda"))
    assert said["peak memory GB"] == 5
    assert 0.05 < said["peak RSS GB"] < 100


@pytest.mark.parametrize(("room", "count"), [(0, 1), (1, 2), (2.5, 3), (9, 4)])
def test_as_many_train_at_once_as_have_room(room, count):
    """The base with the adapters of one takes 100 bytes, a pass that keeps a GPU busy 2,048; each further one 50."""
    need = Memory(fixed=100.0, token=1.0, least=10, own=50.0)
    device = (CONTEXT + 100 + ENOUGH_TOKENS + 50 * room + 1) / HEADROOM
    assert budget._most([need] * 4, device) == count


def test_a_student_whose_passes_need_more_has_room_too():
    """The one that holds the most beside its passes is not the one whose longest row takes the most."""
    large, long = (
        Memory(fixed=200.0, token=1.0, least=10, own=50.0),
        Memory(fixed=100.0, token=1.0, least=9000, own=50.0),
    )
    device = (CONTEXT + 250 + ENOUGH_TOKENS + 1) / HEADROOM
    assert budget._most([large] * 2, device) == 2
    assert budget._most([large, long], device) == 1
