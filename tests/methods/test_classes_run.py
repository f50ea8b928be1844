"""Three classes of one's own from the command line to the table."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

import w2s_sweep as w2s
from tests.command import launch, sweep_record
from tests.tiny import WORDS
from w2s_sweep.predictions import read_predictions

pytestmark = pytest.mark.slow
MOODS = {"bad": ["bad", "poor", "dull"], "good": ["good", "great", "fine"], "slow": ["slow", "tedious", "weak"]}
SHARES = (120, 60, 60)
FAST = ["finetune.epochs=10", "threads=1", "tracker=none", "test_evaluations=2"]
METHODS_RUN = "naive,knn_relabel,conflict,prompting"


@pytest.fixture
def task(tmp_path: Path) -> list[str]:
    draw = random.Random(0)
    path = tmp_path / "rows.jsonl"
    moods = [mood for mood, rows in zip(MOODS, SHARES, strict=True) for _ in range(rows)]
    with path.open("w") as file:
        for i, mood in enumerate(moods):
            words = draw.choices(WORDS[:14], k=4) + draw.choices(MOODS[mood], k=2)
            file.write(json.dumps({"review": f"{i} " + " ".join(words), "mood": mood}) + "\n")
    names = ",".join(MOODS)
    words = ",".join(f"' {name}'" for name in MOODS)
    columns = "dataset.columns={text: review, label: mood}"
    return ["dataset=local", f"dataset.path={path}", "dataset.name=moods", columns,
            f"dataset.labels=[{names}]", f"dataset.prompt.words=[{words}]", "dataset.max_tokens=32"]  # fmt: skip


def test_methods_run_with_three_classes_of_own_data(tmp_path, tiny_models, task):
    store = tmp_path / "store"
    argv = [f"store={store}", *tiny_models, *task, *FAST, "finetune=probe", f"method={METHODS_RUN}"]
    status, out, err = launch("-m", *argv)
    assert status == 0, err
    assert "4 of 4 cells" in out
    assert "60 of label 0 (bad), 60 of label 1 (good), 60 of label 2 (slow) after balancing" in out
    record = sweep_record(store)
    for entry in record["cells"]:
        for key in entry["roles"].values():
            found = read_predictions(store / "stages" / key / "predictions.parquet")
            assert found.probs.shape[1] == 3
            assert {*found.truth.tolist()} == {0, 1, 2}
            np.testing.assert_allclose(found.probs.sum(1), 1, atol=1e-4)
    rows = w2s.load(next((store / "sweeps").glob("[!.]*")).name, store=store).results.rows
    assert all(row.classes == 3 for row in rows)
