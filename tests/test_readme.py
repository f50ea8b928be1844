"""Every command that README shows is understood: by the parser of `w2s`, by the checks of a sweep, or by make."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from w2s_sweep.cli import parser
from w2s_sweep.commands import COMMANDS
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
STARTS = ("make ", "w2s ", "python launch.py", "pip install ")


def shown() -> list[str]:
    """The commands of code blocks and of the text, without comments, each once."""
    blocks = re.sub(r" *\\\n +", " ", "".join(re.findall(r"(?:^    .*\n)+", README, re.MULTILINE)))
    found = [re.sub(r"^(\$|next:) +", "", line.strip()) for line in blocks.splitlines()]
    found += [text.replace("\n", " ") for text in re.findall(r"`([^`]+)`", re.sub(r"(?m)^    .*$", "", README))]
    commands = [re.split(r" #|  +", text)[0].strip() for text in found if text.startswith(STARTS)]
    return list(dict.fromkeys(commands))


def of(start: str) -> list[str]:
    return [text for text in shown() if text.startswith(start)]


def test_there_are_commands_of_every_sort():
    assert [len(of(start)) > 1 for start in STARTS[:3]] == [True] * 3
    assert "make demo" in shown()


@pytest.mark.parametrize("text", of("make "))
def test_make_has_the_target(text):
    words = [word for word in shlex.split(text)[1:] if "=" not in word]
    assert subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("text", of("w2s ") + of("python launch.py"))
def test_the_command_line_is_understood(text):
    """`...` stands for a grid, `A | B` for two commands, `[X]` for what may be left out, `X ...` for more of them."""
    if text.startswith(("python launch.py", "w2s run")):
        words = shlex.split(text.removeprefix("python launch.py").removeprefix("w2s run"))
        check_words([word for word in words if word != "..."], CONF)
        return
    for part in text.removeprefix("w2s ").split(" | "):
        words = shlex.split(re.sub(r"\[([^\]]+?)( \.\.\.)?\]", r"\1", part).replace(" ...", ""))
        names = {command.name for command in COMMANDS}
        assert words[0] in names
        if len(words) > 1 or "|" not in text:
            parser().parse_args(words)


def test_every_sub_command_is_shown():
    told = " ".join(re.findall(r"^    w2s (.*?)  ", README, re.MULTILINE))
    missing = {command.name for command in COMMANDS} - set(re.findall(r"[a-z-]+", told))
    assert missing == set()
