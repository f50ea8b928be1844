"""Command lines and files of any nonsense end in a message before any work, without a traceback."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command import launch, own_folder

NAMES = st.sampled_from(
    ["seed", "loss", "dataset", "model@weak", "model@strong", "finetune", "method", "metric", "store.x", "weak.hidden",
     "finetune.lr", "finetune.epochs", "finetune.betas", "dataset.max_tokens", "dataset.source.kind", "tracker.mode",
     "hydra/launcher", "strong.resources.gpus", "nonsense", "finetune.batch_size", "dataset.validation", "threads"]
)  # fmt: skip
BAD = st.one_of(
    st.sampled_from(
        ["nul", "-3", "1e400", "abc", "[1,2", "{a:1}", "[]", "{}", "''", "2.5.1", "??", "a=b", "${nothing}"]
    ),
    st.text("abcxyz_-/.:@[]{}()'\"$!# ", min_size=1, max_size=8).map(lambda text: f"zz{text}"),
)

MALFORMED = st.lists(st.tuples(st.sampled_from(["", "+", "++"]), NAMES, BAD), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(MALFORMED)
def test_malformed_command_lines(tmp_path_factory, parts):
    never_starts_work(tmp_path_factory, parts)


@pytest.mark.slow
@pytest.mark.extensive
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(MALFORMED)
def test_many_malformed_command_lines(tmp_path_factory, parts):
    never_starts_work(tmp_path_factory, parts)


def never_starts_work(tmp_path_factory, parts):
    """No malformed override starts work, and none shows a traceback."""
    only_a_message(tmp_path_factory.mktemp("o"), [f"{sign}{name}={value}" for sign, name, value in parts])


KEYS = ["seed", "loss", "finetune", "weak", "dataset", "defaults", "hydra", "tracker", "nonsense", "- x"]
SIGNS = [": ", ":", ": {lr: ", ": [", ":\n  epochs: ", ":\n  - ", " = "]
VALUES = ["override /loss: nope", "xent", "3", "!!python/object:os.system {}", "\x00", "&a *a"]
FILES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(SIGNS), st.one_of(BAD, st.sampled_from(VALUES))),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_malformed_files(tmp_path_factory, lines):
    malformed_file(tmp_path_factory, lines)


@pytest.mark.slow
@pytest.mark.extensive
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_many_malformed_files(tmp_path_factory, lines):
    malformed_file(tmp_path_factory, lines)


def malformed_file(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("f")
    text = "# @package _global_\n" + "".join(f"{key}{sign}{value}\n" for key, sign, value in lines)
    only_a_message(folder, [*own_folder(folder, text), "experiment=mine"])


def only_a_message(folder, argv):
    store = folder / "store"
    status, _, err = launch(f"store={store}", "plan_only=true", *argv)
    assert "Traceback" not in err
    assert status in (0, 1)
    assert (status == 0) == (not err.strip())
    assert not store.exists()
