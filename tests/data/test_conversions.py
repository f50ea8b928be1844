"""The version of a conversion, the page of tasks and their names."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.data.rows_of_tasks import SAMPLES, convert
from tests.setups import cell, data_settings, identify
from w2s_sweep.data.catalogue import COMMAND, catalogue
from w2s_sweep.data.tasks import TASKS, find
from w2s_sweep.errors import DataError
from w2s_sweep.plan.inputs import Inputs
from w2s_sweep.stages.data import run


def test_the_version_of_a_conversion_enters_the_keys_of_its_task_alone() -> None:
    def data_stage(task: str):
        build = Inputs(cell(dataset=replace(cell().dataset, task=task)), identify)
        return build.stages[build.data()]

    changed = {name for name in TASKS if "task_version" in data_stage(name).preimage["settings"]}
    versions = {"sciq_with_support", "text_label", "jsonl_triplet", "jsonl_triplet_pairs"}
    assert changed == {name for name, task in TASKS.items() if task.version is not None} == versions
    assert data_stage("sciq_with_support").preimage["settings"]["task_version"] == 2
    assert "task_version" not in data_stage("no such task").preimage["settings"]


def test_a_stage_planned_with_another_conversion_is_refused() -> None:
    context: Any = SimpleNamespace(settings=data_settings(task="sciq_with_support"))
    with pytest.raises(DataError, match=r"version 1 of its conversion, here it has version 2.*Submit"):
        run(context)


PAPER = (  # noqa: SIM905 - one name a string would fill the screen
    "boolq cosmos_qa dream ethics_justice ethics_deontology ethics_virtue ethics_utilitarianism anli_r2 cola sst2 "
    "hellaswag mc_taco openbookqa paws quail piqa quartz sciq social_iqa multirc wic twitter_sentiment"
).split()
"""The 22 NLP tasks of Burns et al. 2023, appendix A."""


MORE = "amazon_polarity hh_rlhf sciq_with_support sandbox chess_moves chess_puzzles checkmate_in_one".split()  # noqa: SIM905


def test_the_papers_tasks_and_the_usual_others_are_choices() -> None:
    assert len(PAPER) == 22
    found = (Path(__file__).parents[2] / "conf" / "dataset").glob("*.yaml")
    assert {*PAPER, *MORE} <= {path.stem for path in found}


def test_the_page_of_tasks_is_up_to_date() -> None:
    pytest.importorskip("chess", reason="pip install chess")
    assert {*SAMPLES} == {*TASKS}
    root = Path(__file__).parents[2]
    assert (root / "docs" / "TASKS.md").read_text() == catalogue(root / "conf"), f"run: {COMMAND}"


def test_every_process_converts_alike() -> None:
    code = (
        "from w2s_sweep.data.tasks import TASKS\n"
        "print([task.examples(task.sample, 0) for name, task in TASKS.items() if name != 'chess_puzzles'])"
    )
    env = dict(os.environ) | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([convert(name, row) for name, row in SAMPLES.items() if name != "chess_puzzles"])


def test_an_unknown_task_lists_the_nearest_first() -> None:
    with pytest.raises(DataError, match=r"dataset.task: unknown name 'sst'. Did you mean 'sst2'"):
        find("sst")
