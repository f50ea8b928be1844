"""Puzzles and moves: what is asked, which moves are legal, and what is said without the package."""

import pytest

from tests.data.rows_of_tasks import convert
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.errors import DataError


def test_a_puzzle_asks_for_the_reply_to_the_first_move() -> None:
    pytest.importorskip("chess", reason="pip install chess")
    row = {"FEN": "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR b KQkq - 0 3", "Moves": "h7h6 f3f7"}
    (example,) = convert("chess_puzzles", row)
    assert example.target == " Qxf7#"
    assert example.text.startswith("Position: r1bqkbnr/pppp1pp1/2n4p/")


GAME = "1. e4 e5 2. Qh5 Nc6 3. Bc4 Nf6 4."


POSITION = "Position: r1bqkbnr/pppp1pp1/2n4p/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR w KQkq - 0 4\nBest move:"


@pytest.mark.parametrize(
    ("task", "text"), [("checkmate_in_one", GAME), ("chess_moves", GAME), ("chess_puzzles", POSITION)]
)
def test_legal_moves_are_told_from_impossible_ones(task: str, text: str) -> None:
    pytest.importorskip("chess", reason="pip install chess")
    legal = TASKS[task].legal
    assert legal is not None
    assert [legal(text, move) for move in (" Qxf7#", "Qxf7", "a3", " Qxf8#", "Qxf7# a3", "", "--")] == [True] * 3 + [
        False
    ] * 4
    assert legal("not a game", "a3") is None


def test_without_the_chess_package_nothing_is_said_of_legality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chess", None)
    legal = TASKS["chess_moves"].legal
    assert legal is not None
    assert legal(GAME, "a3") is None


def test_a_puzzle_without_the_chess_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chess", None)
    with pytest.raises(DataError, match="pip install chess"):
        convert("chess_puzzles", {"FEN": "", "Moves": ""})
