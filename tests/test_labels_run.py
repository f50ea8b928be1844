"""Early stopping, ensembles with weights and conflict from the command line to the table, with tiny models."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.command import launch, sweep_record
from w2s_sweep.predictions import read_predictions
from w2s_sweep.results.labels import label_all
from w2s_sweep.store import read_jsonl
from w2s_sweep.store.files import read_json

FAST = ["finetune=probe", "finetune.epochs=4", "threads=1", "tracker=none"]


def finished(store, models, task, *argv):
    status, out, err = launch("-m", f"store={store}", *models, *task, *FAST, *argv)
    assert status == 0, err
    return sweep_record(store), out


def stages(store, record, kind):
    """(folder, about) of the stages of a kind, in the order of the graph."""
    return [(store / "stages" / key, about) for key, about in record["stages"].items() if about["kind"] == kind]


def test_boosted_members_train_on_weights_of_mean_one(tmp_path, tiny_models, tiny_task):
    record, out = finished(
        tmp_path, tiny_models, tiny_task, "method=ensemble", "method.bagging=null", "method.members=3",
        "method.rule=boosted,learned,evidential",
    )  # fmt: skip
    assert "3 of 3 cells" in out
    for folder, _ in stages(tmp_path, record, "weigh"):
        weights = pq.read_table(folder / "weights.parquet")["weight"].to_numpy()
        assert weights.mean() == pytest.approx(1, abs=1e-5)
        assert weights.max() > weights.min()
        assert set(read_predictions(folder / "predictions.parquet").splits) >= {"half_a", "test"}
    told = {entry["cell"]["method"]["rule"]: entry["roles"]["weak"] for entry in record["cells"]}
    for rule, key in told.items():
        summary = json.loads((tmp_path / "stages" / key / "summary.json").read_text())
        shown = [value for name, value in summary.items() if name.startswith("weight of member")]
        assert len(shown) == (0 if rule == "evidential" else 3)
        assert set(read_predictions(tmp_path / "stages" / key / "predictions.parquet").splits) == {
            "half_b", "validation", "test",
        }  # fmt: skip
    assert "rule=learned" in out


def test_early_stopping_from_the_command_line_to_the_label(tmp_path, tiny_models, tiny_task):
    record, out = finished(
        tmp_path, tiny_models, tiny_task, "finetune.early_stopping=oracle", "finetune.evaluations=3",
        "finetune.batch_size=20",
    )  # fmt: skip
    assert "probe(early_stopping=oracle)" in out
    for folder, about in stages(tmp_path, record, "probe"):
        rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "validation" in row]
        summary = read_json(folder / "summary.json")
        assert summary is not None
        assert len(rows) == 3
        assert summary["evaluated against"] == "truth"
        best = max(row["validation"] for row in rows)
        assert summary["best step"] == next(row["step"] for row in rows if row["validation"] == best)
        assert summary["accuracy/validation"] == pytest.approx(best), about["label"]


def test_full_fine_tuning_stops_early_on_weak_labels(tmp_path, tiny_models, tiny_task):
    record, _ = finished(
        tmp_path, tiny_models, tiny_task, "finetune=full", "finetune.lr=0.003", "finetune.epochs=2",
        "finetune.early_stopping=weak", "finetune.evaluations=2", "finetune.dropout=0.1",
    )  # fmt: skip
    (roles,) = (entry["roles"] for entry in record["cells"])
    student, weak = (
        read_predictions(tmp_path / "stages" / roles[role] / "predictions.parquet", "validation")
        for role in ("student", "weak")
    )
    rows = [r for r in read_jsonl(tmp_path / "stages" / roles["student"] / "metrics.jsonl") if "validation" in r]
    weak = weak.take(np.argsort(weak.ids))
    student = student.take(np.argsort(student.ids))
    agreement = (weak.probs.argmax(1) == student.probs.argmax(1)).mean()
    assert agreement == pytest.approx(max(row["validation"] for row in rows))


def test_conflict_is_measured_against_the_naive_student(tmp_path, tiny_models, tiny_task):
    record, out = finished(
        tmp_path, tiny_models, tiny_task, "method=conflict", "method.strength=0,0.9", "method.kind=explicit,implicit"
    )
    assert "4 of 4 cells" in out
    assert len({entry["roles"]["reference"] for entry in record["cells"]}) == 1
    table = pq.read_table(next(tmp_path.glob("sweeps/*/table.parquet"))).to_pylist()
    for row, entry in zip(table, record["cells"], strict=True):
        if entry["cell"]["method"]["strength"] == 0:
            assert row["conflict_tax"] == 0
            assert row["deception"] is None
            assert entry["roles"]["student"] == entry["roles"]["reference"]
        else:
            assert row["conflict_tax"] > 0
            assert 0 <= row["deception"] <= 1
        assert 0 <= row["deception_expected"] <= 1


def test_different_weak_models_by_file_name(tmp_path, tiny_models, tiny_task):
    path = next(re.sub("^strong.path=", "", line) for line in tiny_models if line.startswith("strong.path"))
    other = f"{{model: smollm2_135m, name: other, path: {path}, keep_layers: 1, feature_layer: null}}"
    record, out = finished(
        tmp_path, tiny_models, tiny_task, "method=weak_ensemble", f"method.others=[{other}]", "method.rule=mean,learned"
    )
    assert "2 of 2 cells" in out
    assert {entry["cell"]["method"]["others"][0]["name"] for entry in record["cells"]} == {"other"}


def test_what_costs_truth_is_always_shown():
    probe = {"name": "probe", "early_stopping": "oracle", "evaluations": 10, "lr": 0.1}
    assert list(label_all([probe]).values()) == ["probe(early_stopping=oracle)"]
    assert list(label_all([probe | {"early_stopping": "none"}]).values()) == ["probe"]
    both = label_all([probe, probe | {"early_stopping": "none"}])
    assert set(both.values()) == {"probe(early_stopping=oracle)", "probe(early_stopping=none)"}
