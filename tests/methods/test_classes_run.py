"""Three classes of one's own from the command line to the table."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

import w2s_sweep as w2s
from tests.command import launch, sweep_record
from tests.tiny import WORDS
from w2s_sweep.methods import METHODS
from w2s_sweep.predictions import read_predictions

pytestmark = pytest.mark.slow
MOODS = {"bad": ["bad", "poor", "dull"], "good": ["good", "great", "fine"], "slow": ["slow", "tedious", "weak"]}
SHARES = (120, 60, 60)
FAST = ["finetune.epochs=10", "threads=1", "tracker=none", "test_evaluations=0"]
RUN = (
    "naive", "knn_relabel", "conflict", "prompting", "strong_to_strong", "ensemble", "confidence_filter", "critic",
    "ground_truth_budget", "overlap_selection", "label_refinement", "elicitation", "mean_difference", "generative",
)  # fmt: skip
NAMED = {"bootstrapping": "chain", "weak_ensemble": "others"}
"""Method -> its field that names further models: here one that begins with random weights."""
REFUSED = {"ccs", "icm", "icm_features", "selective", "reasoning"}


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
            f"dataset.labels=[{names}]", f"dataset.prompt.words=[{words}]", "dataset.max_tokens=128"]  # fmt: skip


def test_every_method_runs_with_three_classes_of_own_data_or_is_refused(tmp_path, tiny_models, task):
    assert {*RUN, *NAMED, *REFUSED} == {*METHODS}
    store = tmp_path / "store"
    (tmp_path / "mine" / "method").mkdir(parents=True)
    for name, field in NAMED.items():
        lines = f"defaults: [{name}, _self_]\n{field}: [scratch_2x32]\n"
        (tmp_path / "mine" / "method" / f"my_{name}.yaml").write_text(lines)
    methods = [*RUN, *(f"my_{name}" for name in NAMED)]
    argv = [f"store={store}", *tiny_models, *task, *FAST, "finetune=probe", f"method={','.join(methods)}"]
    status, out, err = launch("-m", "--config-dir", str(tmp_path / "mine"), *argv)
    assert status == 0, err
    assert f"{len(methods)} of {len(methods)} cells" in out
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
