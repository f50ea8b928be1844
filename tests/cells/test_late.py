"""Settings with which a stage would fail hours later are refused when cells are parsed."""

import re

import pytest
from hydra import compose

from w2s_sweep.cells.parse import parse
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import plain_cell

pytestmark = pytest.mark.usefixtures("composing")
LONG = "a" * 300
PROMPTED = ["method=prompting", "finetune=full"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["finetune=full", "finetune.betas=[1.0,1.0]"], r"finetune.betas.*got 1.0.*less than 1"),
        (["finetune.betas=[0.9,-0.1]"], r"finetune.betas.*got -0.1"),
        (["store=''"], r"store: got ''.*at least 1 character"),
        (["store="], r"store: got ''.*at least 1 character"),
        ([f"name={LONG}"], r"name: got .*at most 120 characters"),
        ([f"dataset.name={LONG}"], r"dataset.name: got .*at most 100 characters"),
        ([f"strong.name={LONG}"], r"strong.name: got .*at most 100 characters"),
        ([*PROMPTED, "dataset.prompt.words=[' a',' a']"], r"dataset.prompt.words: got \[' a', ' a'\].*another one"),
        ([*PROMPTED, "dataset.prompt.words=null", "strong.label_words=[' a',' a']"], r"label_words of .* got"),
    ],
)
def test_refused(words, told):
    with pytest.raises(ConfigError) as error:
        parse([plain_cell(compose("config", overrides=words))])
    assert re.search(told, str(error.value)), error.value


def test_the_longest_names_are_taken():
    words = [
        "store=runs",
        f"name={LONG[:120]}",
        "dataset.name=d",
        "strong.name=s",
        "finetune=full",
        "finetune.betas=[0.0,0.9999]",
    ]
    (_, sweep) = parse([plain_cell(compose("config", overrides=words))])
    assert sweep.name == LONG[:120]
