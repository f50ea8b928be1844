"""What a shell took apart is put together again in the message."""

import pytest

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF
from w2s_sweep.launch.stray import stray_words


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("dataset.path=my data.csv", """'dataset.path="my data.csv"'"""),
        ("seed=1 dataset.path=my own data.csv loss=xent", """'dataset.path="my own data.csv"'"""),
        ('name=it is "mine"', """'name="it is \\"mine\\""'"""),
        ("seed=0 1 2", "seed=0,1,2."),
        ("seed=0, 1, 2", "seed=0,1,2."),
    ],
)
def test_words_beside_each_other_are_told_once_with_what_was_meant(typed, told):
    words = typed.split()
    found = [stray_words(words, place) for place, word in enumerate(words) if "=" not in word]
    assert [one == [] for one in found] == [False] + [True] * (len(found) - 1)
    (message,) = found[0]
    assert message.endswith(told if told.endswith(".") else f"{told}.")


@pytest.mark.parametrize(
    ("typed", "told"),
    [("seed=0 1 2", "seed=0,1,2"), ("seed=0, 1, 2", "seed=0,1,2"), ("dataset.path=a b", """'dataset.path="a b"'""")],
)
def test_a_command_is_told_of_them_in_the_words_that_were_typed(typed, told):
    with pytest.raises(ConfigError) as caught:
        check_words(typed.split(), CONF)
    (problem,) = caught.value.problems
    assert f": {told}." in problem


@pytest.mark.parametrize("typed", ["demo", "~dataset demo", "seed=[1"])
def test_other_mistakes_are_left_to_others(typed):
    words = typed.split()
    assert stray_words(words, len(words) - 1) is None
