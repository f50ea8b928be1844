"""The command `w2s`: where `--store` may stand, what is refused, and that every sub-command says what it is."""

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.cli import main as w2s
from w2s_sweep.cli import parser
from w2s_sweep.commands import COMMANDS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build(tmp_path_factory.mktemp("cli") / "a store", Shape(n_test=20)).root


def test_the_store_stands_before_or_after_the_command(store, tmp_path, capsys):
    shown = []
    for words in (
        ["--store", str(store), "status", NAME],
        ["status", NAME, "--store", str(store)],
        ["status", f"--store={store}", NAME],
        ["--store", str(tmp_path), "status", NAME, "--store", str(store)],
    ):
        assert w2s(words) == 0
        shown.append(capsys.readouterr().out)
    assert NAME in shown[0]
    assert set(shown) == {shown[0]}


@pytest.mark.parametrize("before", [True, False])
def test_run_takes_the_store_as_well(before, tmp_path, monkeypatch):
    """Hydra's grammar needs quotes where a path has a space; whoever types `--store` does not."""
    ran = []
    monkeypatch.setattr("w2s_sweep.launch.main.main", lambda program, words: ran.append(list(words)) or 0)
    store = ["--store", f"{tmp_path}/a b's"]
    words = ["run", "-m", "loss=xent,confidence", "--cfg", "job"]
    assert w2s([*store, *words] if before else [*words, *store]) == 0
    quoted = f"store='{tmp_path}/a b\\'s'"
    assert ran == [["-m", "loss=xent,confidence", "--cfg", "job", quoted]]


def test_what_is_no_store_is_refused_with_what_to_name(tmp_path, capsys):
    assert w2s(["status", "--store", str(tmp_path)]) == 1
    assert f"--store: {tmp_path} is not a store. Name the folder" in capsys.readouterr().err


def test_explain_takes_two_keys_at_most(store, capsys):
    assert w2s(["--store", str(store), "explain", "a", "b", "c"]) == 1
    assert "KEY: 3 of them. Allowed: one to explain, or two to compare" in capsys.readouterr().err


def test_every_command_is_listed_once_and_helps(capsys):
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    for command in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            parser().parse_args([command.name, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert command.about in said
        assert "--store" in said


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("rprt demo", "COMMAND: unknown name 'rprt'. Did you mean 'report'? Allowed: "),
        ("demo", "'demo' is an experiment: w2s run experiment=demo"),
        ("--store x statsu", "Did you mean 'status'?"),
        ("loss=xent seed=1", "'loss=xent' is a setting of a run: w2s run loss=xent seed=1"),
        ("export demo demo.zip", "usage: w2s export "),
    ],
)
def test_a_word_that_is_no_command_is_told_with_what_was_meant(typed, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        w2s(typed.split())
    assert told in " ".join(capsys.readouterr().err.split())
