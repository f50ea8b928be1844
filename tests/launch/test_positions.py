"""Texts that are too long for a model are told before any job, with all that will be written behind them."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.setups import cell, dataset, identify
from tests.tiny import sentences, tiny_gpt2
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.opened import opened_by
from w2s_sweep.launch.positions import require_positions
from w2s_sweep.methods.critic import Critic
from w2s_sweep.training.examples import EXAMPLES

POSITIONS = 64


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return tiny_gpt2(tmp_path_factory.mktemp("gpt2"), positions=POSITIONS)


@pytest.fixture
def check(tmp_path, gpt2):
    """What is said of a cell whose data alone is there: the models by name."""
    texts = [text[:40] for text in sentences(4, most=6)]
    columns = {"text": texts, "label": [0, 1, 0, 1], "target": ["good"] * 4}
    pq.write_table(pa.table(columns), tmp_path / EXAMPLES)

    def told(*cells):
        stages = [*merge(cells, identify).stages.values()]
        store = SimpleNamespace(
            is_done=lambda key: any(stage.kind == "data" and stage.key == key for stage in stages),
            path=lambda key: tmp_path,
        )
        there = dict.fromkeys(opened_by(stages), gpt2)
        try:
            require_positions(store, stages, there)
        except ConfigError as error:
            return {name for name in ("w0", "s0") if f"positions of {name}." in str(error)}
        return set()

    return told


@pytest.mark.parametrize("finetune", [Lora(), Probe()], ids=["lora", "probe"])
def test_a_judge_reads_critiques_too(check, finetune):
    assert check(cell(finetune=finetune)) == set()
    assert check(cell(finetune=finetune, method=Critic(max_new_tokens=8, question=" why ?"))) == set()
    assert check(cell(finetune=finetune, method=Critic(max_new_tokens=60, question=" why ?"))) == {"w0", "s0"}
    assert check(cell(finetune=finetune, method=Critic(max_new_tokens=8, question=" why ?" * 40))) == {"w0", "s0"}


def test_what_may_be_written_counts_and_not_only_targets(check):
    moves = replace(dataset(), task="chess_moves")
    assert check(cell(finetune=Lora(), dataset=moves)) == set()
    short, long = (cell(finetune=Lora(), dataset=replace(moves, max_new_tokens=most)) for most in (2, 60))
    assert check(long) == check(short, long) == {"w0", "s0"}
