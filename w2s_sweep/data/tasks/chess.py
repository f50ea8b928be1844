"""Generation of the best move: `text` ends where the move begins, `target` starts with the space before it."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import Example, Row, Task, register, text
from w2s_sweep.errors import DataError

if TYPE_CHECKING:
    from types import ModuleType


def _generate(prompt: str, target: str, *group: str) -> Sequence[Example]:
    return [Example(prompt.rstrip(), 0, group_of(*group), target=f" {target.strip()}")] if target.strip() else []


def _chess_library() -> "ModuleType":
    try:
        import chess
    except ModuleNotFoundError as error:
        raise DataError(
            "task 'chess_puzzles': it needs the package chess, which is not installed. Run `pip install chess`, or "
            "use a source that is text already (task chess_moves)."
        ) from error
    return chess


def _puzzle(row: Row) -> Sequence[Example]:
    """A lichess puzzle: its first move is the opponent's, the second is the solution."""
    chess = _chess_library()
    board = chess.Board(text(row, "FEN"))
    moves = text(row, "Moves").split()
    board.push_uci(moves[0])
    position = board.fen()
    return _generate(f"Position: {position}\nBest move:", board.san(chess.Move.from_uci(moves[1])), position)


def _moves(row: Row) -> Sequence[Example]:
    """The moves of a game in standard notation, and the best next one (Burns et al. 2023, section 4.1)."""
    game = text(row, "ctx")
    return _generate(game, text(row, "target"), game)


def _checkmate(row: Row) -> Sequence[Example]:
    """The moves of a game, and the move that mates: columns `input` and `target`, or those of the hub's BIG-bench,
    `inputs` (an instruction, then the moves) and `targets` (a list)."""
    if "inputs" not in row:
        game, target = text(row, "input"), text(row, "target")
    else:
        targets = row["targets"]
        if isinstance(targets, str) or not targets:
            raise ValueError(f"column 'targets' is {targets!r}, not a list of moves")
        game, target = _without_instruction(text(row, "inputs")), str(targets[0])
    return _generate(game, target, game)


def _without_instruction(asked: str) -> str:
    start = asked.find("1. ")
    if start < 0:
        raise ValueError("column 'inputs' holds no game: none of its words is the number '1.'")
    return asked[start:]


def _after_game(prompt: str) -> Any:
    """The board after moves in standard notation, with or without their numbers."""
    board = _chess_library().Board()
    for word in prompt.split():
        if move := re.sub(r"^\d+\.+", "", word):
            board.push_san(move)
    return board


def _in_position(prompt: str) -> Any:
    return _chess_library().Board(prompt.partition("Position: ")[2].partition("\n")[0])


def _legal(board_of: Callable[[str], Any]) -> Callable[[str, str], bool | None]:
    """Whether an answer is one legal move; None without the package chess, or where the text gives no board."""

    def legal(prompt: str, answer: str) -> bool | None:
        try:
            board = board_of(prompt)
        except (ValueError, DataError):
            return None
        try:
            return bool(board.parse_san(answer.strip()))
        except ValueError:
            return False

    return legal


_CHECKMATE = ("input", "target", "inputs", "targets")

register(
    Task(
        "chess_moves",
        ("ctx", "target"),
        _moves,
        kind="generate",
        thin_by=("ctx",),
        legal=_legal(_after_game),
        sample={"ctx": "1. e4 e5 2. Qh5 Nc6 3. Bc4 Nf6 4.", "target": " Qxf7#"},
    ),
    Task(
        "chess_puzzles",
        ("FEN", "Moves"),
        _puzzle,
        kind="generate",
        thin_by=("FEN",),
        legal=_legal(_in_position),
        sample={
            "FEN": "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR b KQkq - 0 3",
            "Moves": "h7h6 f3f7",
        },
    ),
    Task(
        "checkmate_in_one",
        (),
        _checkmate,
        kind="generate",
        optional=_CHECKMATE,
        legal=_legal(_after_game),
        sample={"input": "1. f3 e5 2. g4", "target": "Qh4#"},
    ),
)
