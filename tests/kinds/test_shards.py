"""Which stages several processes may compute together: not those whose adapters have magnitudes of whole matrices."""

from dataclasses import replace

import pytest

from tests.setups import cell, dataset, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Lora
from w2s_sweep.kinds.memory import COUNTS
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.slurm.resources import counts_of
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.runner.ranks import RANKS, ranks_of

GENERATION = replace(dataset(), task="worked_answer")


def stages(dora):
    """One stage of each kind that trains or opens a trained transformer."""
    lora = Lora(dora=dora)
    cells = [
        cell(finetune=lora, tests=(dataset("other"),)),
        cell(finetune=lora, dataset=GENERATION, method=Reasoning(preference=True)),
    ]
    found = {stage.kind: stage for stage in merge(cells, identify).stages.values()}
    return [found[kind] for kind in ("finetune", "generate", "sample", "prefer", "evaluate")]


@pytest.mark.parametrize("dora", [False, True])
def test_magnitudes_are_computed_on_one_gpu_wherever_it_is_planned(dora, monkeypatch):
    monkeypatch.setenv(RANKS, "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    local = LocalEngine()
    for stage in stages(dora):
        assert ranks_of(stage) == (1 if dora else 2), stage.kind
        assert tuple(counts_of(stage, Settings())) == ((1,) if dora else tuple(COUNTS)), stage.kind
        assert tuple(local.counts(stage)) == ((1,) if dora else (1, 2)), stage.kind
