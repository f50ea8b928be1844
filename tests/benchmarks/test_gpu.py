"""The check of a GPU runs as a whole: here on a CPU with hardly any weights, where it has to find nothing wrong."""

import json

import pytest

from benchmarks import gpu
from benchmarks.card.parity import cells
from tests.setups import identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.kinds import KINDS
from w2s_sweep.kinds.base import OfModel

TINY = ("--device", "cpu", "--tiny")
PARTS = "products,parity,out of memory,broken context,llama3.1-8b lora,decoding,co-trained students"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_it_finds_nothing_wrong_on_a_cpu(tmp_path):
    out = tmp_path / "gpu.json"
    assert gpu.main([*TINY, "--parts", PARTS, "--out", str(out)], gpu.part_of) == 0
    parts = json.loads(out.read_text())["parts"]
    assert {*parts} == {*PARTS.split(",")}
    students = parts["co-trained students"]
    assert {*students} == {"gpt2 lora", "llama lora", "pays", "good", "seconds"}
    assert {*students["llama lora"]["times one by one"]} == {"1", "4", "8"}
    assert (parts["parity"]["failed"], parts["parity"]["far"]) == ([], [])
    assert max(parts["parity"]["largest difference"].values()) < 1e-4
    assert parts["broken context"]["error"] == [
        "RuntimeError: index 1000000 is out of bounds for dimension 1 with size 2"
    ]
    for model in ("gpt2", "llama"):
        texts = parts["decoding"][f"{model} decoding"]
        assert texts["decoding"] == "together"
        assert texts["generate, likeliest"]["texts as ours"] == 1
        assert texts["ours, 4 samples"]["all written"]
    assert texts["ours, 4 samples"]["tokens/s"] > 0
    loops = parts["llama3.1-8b lora"]
    assert [name.split(",")[0] for name in loops] == ["ours", "ours", "Trainer", "Trainer", "seconds"]
    assert loops["ours, checkpointed"]["padding"] == 0  # the model of one loop is not that of the next
    assert all(loop["tokens/s"] > 0 for name, loop in loops.items() if name != "seconds")


def test_every_kind_of_stage_that_runs_a_model_is_compared(tmp_path):
    graph = merge(list(cells(tmp_path, few=True)), identify)
    found = {stage.kind for stage in graph.stages.values()}
    opening = {kind for kind, cls in KINDS.items() if issubclass(cls, OfModel)}
    assert opening <= found
    assert found >= {"evaluate", "probe", "elicit", "calibrate", "sample", "agree", "temper", "mean_difference", "ccs"}
    tied = {
        kind: {stage.hints.of_model.name for stage in graph.stages.values() if stage.kind == kind}
        for kind in ("contrast", "sample", "mean_difference", "ccs")
    }
    assert set(map(frozenset, tied.values())) == {frozenset({"llama-tied", "neox-untied"})}


def test_what_there_is_no_time_for_says_so(tmp_path):
    out = tmp_path / "gpu.json"
    assert gpu.main([*TINY, "--minutes", "0", "--out", str(out)], gpu.part_of) == 0
    said = json.loads(out.read_text())["parts"]
    assert {said[name]["skipped"] for name in gpu.PARTS} == {"the time is up"}


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpu.main([*TINY, "--parts", "paritty"])
    assert "paritty; there are products, parity" in capsys.readouterr().err
