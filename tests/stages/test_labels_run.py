"""Early stopping, ensembles with weights and conflict from the command line to the table, with tiny models."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.command import launch, sweep_record
from w2s_sweep.predictions import read_predictions
from w2s_sweep.results.labels import label_all
from w2s_sweep.store import read_jsonl

FAST = ["finetune=probe", "finetune.epochs=4", "threads=1", "tracker=none"]


def finished(store, models, task, *argv):
    status, out, err = launch("-m", f"store={store}", *models, *task, *FAST, *argv)
    assert status == 0, err
    return sweep_record(store), out


def stages(store, record, kind):
    """(folder, about) of the stages of a kind, in the order of the graph."""
    return [(store / "stages" / key, about) for key, about in record["stages"].items() if about["kind"] == kind]


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory, tiny_models, tiny_task):
    """Boosted and other ensembles whose members and students stop early."""
    store = tmp_path_factory.mktemp("ensembles")
    argv = ["method=ensemble", "method.bagging=null", "method.members=3", "method.rule=boosted,learned,vote"]
    stopping = ["finetune.early_stopping=oracle", "finetune.evaluations=3", "finetune.batch_size=20"]
    return store, *finished(store, tiny_models, tiny_task, *argv, *stopping)


@pytest.mark.slow
def test_boosted_members_train_on_weights_of_mean_one(ensembles):
    store, record, out = ensembles
    assert "3 of 3 cells" in out
    for folder, _ in stages(store, record, "weigh"):
        weights = pq.read_table(folder / "weights.parquet")["weight"].to_numpy()
        assert weights.mean() == pytest.approx(1, abs=1e-5)
        assert weights.max() > weights.min()
        assert set(read_predictions(folder / "predictions.parquet").splits) >= {"half_a", "test"}
    told = {entry["cell"]["method"]["rule"]: store / "stages" / entry["roles"]["weak"] for entry in record["cells"]}
    for rule, folder in told.items():
        summary = json.loads((folder / "summary.json").read_text())
        assert sum(name.startswith("weight of member") for name in summary) == (0 if rule == "vote" else 3)
        splits = set(read_predictions(folder / "predictions.parquet").splits)
        assert splits == {"half_b", "validation", "test"}


@pytest.mark.slow
def test_early_stopping_leaves_its_curve_and_the_best_parameters(ensembles):
    store, record, _ = ensembles
    for folder, about in stages(store, record, "probe"):
        rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "validation" in row]
        summary = json.loads((folder / "summary.json").read_text())
        assert len(rows) == 3
        assert summary["evaluated against"] == "truth"
        best = max(row["validation"] for row in rows)
        assert summary["best step"] == next(row["step"] for row in rows if row["validation"] == best)
        assert summary["accuracy/validation"] == pytest.approx(best), about["label"]


@pytest.mark.slow
def test_an_oracle_is_named_where_all_cells_share_it(ensembles):
    assert "probe(early_stopping=oracle)" in ensembles[2]


@pytest.mark.slow
def test_conflict_is_measured_against_the_naive_student_whatever_is_fine_tuned(tmp_path, tiny_models, tiny_task):
    """With all weights, which stop early on the weak labels."""
    record, out = finished(
        tmp_path, tiny_models, tiny_task, "finetune=full", "finetune.lr=0.003", "finetune.epochs=2",
        "finetune.early_stopping=weak", "finetune.evaluations=2", "finetune.dropout=0.1",
        "method=conflict", "method.strength=0,0.9", "method.kind=explicit,opposite",
    )  # fmt: skip
    assert "4 of 4 cells" in out
    (naive,) = {entry["roles"]["reference"] for entry in record["cells"]}
    table = pq.read_table(next(tmp_path.glob("sweeps/*/table.parquet"))).to_pylist()
    for row, entry in zip(table, record["cells"], strict=True):
        assert 0 <= row["deception_expected"] <= 1
        if entry["cell"]["method"]["strength"] == 0:
            assert (row["conflict_tax"], row["deception"]) == (0, None)
            assert entry["roles"]["student"] == naive
        else:
            assert entry["roles"]["student"] != naive
            assert 0 <= row["conflict_tax"] <= 1
    said = {
        role: read_predictions(tmp_path / "stages" / record["cells"][0]["roles"][role] / "predictions.parquet")
        for role in ("weak", "reference")
    }
    weak, student = (p.on("validation").take(np.argsort(p.on("validation").ids)) for p in said.values())
    rows = [r for r in read_jsonl(tmp_path / "stages" / naive / "metrics.jsonl") if "validation" in r]
    agreement = (weak.probs.argmax(1) == student.probs.argmax(1)).mean()
    assert agreement == pytest.approx(max(row["validation"] for row in rows))


@pytest.mark.slow
def test_different_weak_models_are_named_as_files(tmp_path, tiny_models, tiny_task):
    path = next(line.partition("=")[2] for line in tiny_models if line.startswith("strong.path"))
    other = f"{{path: {path}, name: other, keep_layers: 1}}"
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *FAST, "method=weak_ensemble", "plan_only=true"]
    status, out, err = launch("-m", *argv, f"method.others=[{other}]", "method.rule=mean,learned")
    assert status == 0, err
    assert "weak other tiny" in " ".join(out.split())
    status, _, err = launch(*argv, "method.others=[minilm_l7]")
    assert status == 1
    assert "Did you mean 'minilm_l6'" in err


def test_what_costs_truth_is_always_shown():
    probe = {"name": "probe", "early_stopping": "oracle", "evaluations": 10, "lr": 0.1}
    assert list(label_all([probe]).values()) == ["probe(early_stopping=oracle)"]
    assert list(label_all([probe | {"early_stopping": "none"}]).values()) == ["probe"]
    both = label_all([probe, probe | {"early_stopping": "none"}])
    assert set(both.values()) == {"probe(early_stopping=oracle)", "probe(early_stopping=none)"}
