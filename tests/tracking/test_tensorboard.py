"""TensorBoard's event files, read back with TensorBoard's own reader: every curve once, and what came of it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.results.collect import collect
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.tracking import Sent, make_tracker


def send(store: Store, force: bool = False, folder: str | None = None) -> Sent:
    tracker = make_tracker({"name": "tensorboard", "folder": folder}, NAME, store.sweep(NAME))
    return tracker.send(outcome_of(store, collect(store, NAME)), force)


def test_a_missing_package_is_one_line_and_no_failure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    sent = send(build(tmp_path, Shape()))
    assert not sent.complete
    assert "pip install 'w2s-sweep[tensorboard]'" in sent.lines[0]


@pytest.fixture
def reader() -> Any:
    """Folder -> what TensorBoard reads of it."""
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder: Path) -> Any:
        return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()

    return read


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_every_curve_once(reader, tmp_path):
    store = build(tmp_path, Shape(n_test=200, share=(0.3, 0.35, 0.45), curve=((0.6, 0.6, 0.7), (0.6, 0.8, 0.9))))
    write_results(store, collect(store, NAME), store.sweep(NAME))
    root = store.sweep(NAME) / "tensorboard"
    assert send(store) == Sent([f"TensorBoard: 4 runs written now, 0 before; tensorboard --logdir {root}"])
    assert send(store).lines[0].startswith("TensorBoard: 0 runs written now, 4 before")
    assert send(store, force=True).lines[0].startswith("TensorBoard: 4 runs written now")
    (student,) = root.glob("student_*")
    found = reader(student)
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [
        (i + 1, pytest.approx(0.7 / (i + 1))) for i in range(5)
    ]
    (pgr,) = found.Scalars("summary/pgr")
    assert (pgr.step, pgr.value) == (20, pytest.approx(1 / 3))
    for name, values in {
        "pgr": (0, 2 / 3),
        "eval/accuracy": (0.6, 0.8),
        "eval/agreement_supervisor_wrong": (1, 0.5),
    }.items():
        assert [(event.step, event.value) for event in found.Scalars(name)] == [
            (10, pytest.approx(values[0])), (20, pytest.approx(values[1])),
        ]  # fmt: skip
    (config,) = found.Tensors("config/text_summary")
    assert "| weak/key |" in config.tensor_proto.string_val[0].decode()
    summary = reader(root / "summary")
    assert summary.Scalars("median/pgr")[0].value == pytest.approx(1 / 3)
    assert "figures/pgr" in summary.Tags()["images"]
    assert "| sciq | w14 | s410 |" in summary.Tensors("results/text_summary")[0].tensor_proto.string_val[0].decode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sweeps_can_share_a_folder(reader, tmp_path):
    store = build(tmp_path / "store", Shape())
    assert send(store, folder=str(tmp_path / "logs")).complete
    assert len(list((tmp_path / "logs" / NAME).iterdir())) == 4
