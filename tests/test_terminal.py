"""Other people's text is read and does nothing: in a terminal, in a figure, in a spreadsheet."""

import csv
import io
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.table import Table

from tests.results_store import NAME, Shape, build
from w2s_sweep.cli import main as w2s
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures import choose_plots
from w2s_sweep.results.tables.files import as_csv
from w2s_sweep.store.files import write_json
from w2s_sweep.terminal import READER_LEFT, SafeConsole, harmless, while_read

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07"
TURNED = "abc\u202egnp.exe"


@pytest.mark.parametrize("text", [TITLE, CLIPBOARD, TURNED, "\x9b2J", "a\x00b", "\x7f"])
def test_no_character_acts_and_every_one_is_shown(text):
    shown = harmless(f"{text}|{text}")
    assert shown.isprintable()
    assert shown.count("\\x") + shown.count("\\u") > 1
    assert "|" in shown


def test_words_lines_and_tabs_stay_as_they_are():
    assert harmless("größe → 1\n\tnaïve 弱") == "größe → 1\n\tnaïve 弱"
    assert harmless("10 %\r20 %\r\nend") == "10 %\n20 %\nend"


def test_a_console_keeps_its_own_colours(capsys):
    console = SafeConsole(force_terminal=True, color_system="standard", file=io.StringIO())
    table = Table("name")
    table.add_row(TITLE)
    console.print(f"[red]{CLIPBOARD}[/]", table, highlight=False)
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "\x1b[31m" in said
    assert "\x1b]" not in said
    assert "\x07" not in said
    assert said.count("\\x1b]") == 2


@pytest.mark.slow
def test_failures_logs_and_labels_of_a_store_do_nothing(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(n_test=20, failed=("student w14 s410 sciq 0 0",)))
    record = store.read_sweep(NAME)
    (student,) = {cell["roles"]["student"] for cell in record["cells"]}
    record["stages"][student]["label"] = f"student {TITLE}"
    write_json(store.sweep(NAME) / "sweep.json", record)
    write_json(store.work(student) / "failure.json", {"error": f"Error: {CLIPBOARD}", "text": f"Error: {CLIPBOARD}"})
    (store.work(student) / "log.txt").write_text(f"{TITLE}step 1\rstep 2")
    for command in (["status", NAME], ["logs", student], ["report", NAME, "--out", str(tmp_path / "out")]):
        w2s(["--store", str(store.root), *command])
        out, err = capsys.readouterr()
        assert "\\x1b]" in out
        assert not {"\x1b", "\x07", "\r"} & {*out, *err}
    assert w2s(["--store", str(store.root), "status", TITLE]) == 1
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_label_is_no_formula_in_a_figure(tmp_path):
    losses = ({"name": "xent"}, {"name": "$$ and $\\nope{$"})
    results = collect(build(tmp_path / "store", Shape(n_test=20, losses=losses)), NAME)
    for plot in choose_plots(results):
        plot.draw(results).draw_without_rendering()


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "-cmd", "+1"])
def test_a_label_is_no_formula_in_a_spreadsheet(tmp_path, name):
    store = build(tmp_path / "store", Shape(n_test=20, losses=({"name": name},)))
    (row,) = csv.DictReader(io.StringIO(as_csv(collect(store, NAME))))
    assert row["loss"] == f"'{name}"
    assert float(row["gain"]) == pytest.approx(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["columns"], ["run", "--help"], ["run", "plan_only=true", "store={}"]],
    ids=lambda words: " ".join(words),
)
def test_a_command_whose_reader_has_left_ends_without_a_word(tmp_path, words):
    command = [sys.executable, "-m", "w2s_sweep", *(word.format(tmp_path / "store") for word in words)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        process.stdout.close()  # as `w2s ... | head` does after ten lines
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == READER_LEFT


@contextmanager
def piped(monkeypatch):
    """A pipe as standard output: its reading end. A fixture would be undone by what captures a test's output."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(writing, "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        yield reading
    os.close(reading)


def break_another_pipe() -> int:
    raise BrokenPipeError(32, "Broken pipe")


def test_a_broken_pipe_of_somebody_else_is_told_and_the_output_is_written(monkeypatch, capsys):
    with piped(monkeypatch) as reading:
        print("so far")
        assert while_read(break_another_pipe) == 1
        assert os.read(reading, 100) == b"so far\n"
    assert capsys.readouterr().err == "A process that this command talked to has ended. Run the command again.\n"


def test_a_broken_pipe_where_the_reader_has_left_is_not_told(monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert while_read(break_another_pipe) == READER_LEFT
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_told_in_a_line(monkeypatch, capsys):
    with open("/dev/full", "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert while_read(lambda: print("lost") or 0) == 1
    assert capsys.readouterr().err == "standard output: No space left on device. Write it to another place.\n"


def test_a_closed_output_is_nobodys(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert while_read(lambda: sys.stdout.write("nothing") * 0) == 0
    sys.stdout.close()


def test_what_a_command_raises_is_raised_with_what_it_printed_before(monkeypatch):
    with piped(monkeypatch) as reading:
        with pytest.raises(ZeroDivisionError):
            while_read(lambda: print("so far") or 1 // 0)
        assert os.read(reading, 100) == b"so far\n"
        with pytest.raises(SystemExit):
            while_read(lambda: sys.exit(2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("columns >&- 2>&-", 0, ""),
        ("--version >/dev/full", 1, "standard output: No space left on device"),
    ],
)
def test_output_that_goes_nowhere(command, status, said):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = ["sh", "-c", f"{sys.executable} -m w2s_sweep {command}"]
    done = subprocess.run(line, cwd=Path(__file__).parents[1], env=environment, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert said in done.stderr
