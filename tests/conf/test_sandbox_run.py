"""The presets of the research sandbox, run: three files of one task, tested on those of the two others."""

import json
import random

import pytest

import w2s_sweep as w2s
from tests.command import launch, sweep_record
from tests.tiny import WORDS
from w2s_sweep.predictions import read_predictions

pytestmark = pytest.mark.slow
FILES = {"train_label": 48, "train_unlabel": 48, "test": 24}


def write_task(folder, offset):
    """Three files in the sandbox's form; a choice is right where it says so."""
    folder.mkdir(parents=True)
    draw, number = random.Random(offset), offset
    for name, rows in FILES.items():
        with (folder / f"{name}.jsonl").open("w") as file:
            for row in range(rows):
                number += 1
                right = row % 2 == 0
                choice = " ".join([*draw.choices(WORDS[:12], k=3), "good" if right else "bad"])
                file.write(
                    json.dumps({"question": f"{number} {WORDS[number % 9]}", "choice": choice, "label": right}) + "\n"
                )


def test_the_chat_preset_runs_and_is_tested_on_math_and_code(tmp_path, tiny_models, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the other tasks' folders are looked for
    for number, task in enumerate(("chat", "math", "code")):
        write_task(tmp_path / "labeled_data" / task, 1000 * number)
    models = [word for word in tiny_models if "lora_targets" not in word]
    models += ["weak.layers=2", "weak.hidden=16", "strong.layers=3", "strong.hidden=32"]  # not those of the preset
    status, out, err = launch(
        "experiment=sandbox_chat", f"store={tmp_path / 'store'}", *models, "tests=[sandbox_math,sandbox_code]",
        "seed=0", "dataset.max_tokens=48", "finetune.epochs=1", "threads=1", "test_evaluations=0",
    )  # fmt: skip
    assert status == 0, err
    assert "2 of 2 cells" in out
    record = sweep_record(tmp_path / "store")
    roles = record["cells"][0]["roles"]
    splits = {
        role: read_predictions(tmp_path / "store" / "stages" / key / "predictions.parquet").splits.tolist()
        for role, key in roles.items()
        if role in ("weak", "student", "ceiling")
    }
    assert all(found.count("test") == FILES["test"] for found in splits.values())
    assert {"half_b", "validation"} <= {*splits["student"]}
    rows = w2s.load("sandbox_chat", store=tmp_path / "store").results.rows
    assert {row.method for row in rows} == {"naive"}
    trained = [about for about in record["stages"].values() if about["kind"] == "finetune"]
    assert len(trained) == 1 + 2 + 1
    assert sum(about["kind"] == "evaluate" for about in record["stages"].values()) == 2 * len(trained)
