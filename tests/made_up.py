"""Made-up rows of every task in the schema of its source, many of them, with a gold answer that no text tells.

Each row is the sample of `w2s_sweep/data/tasks/samples.py` with its words replaced by random ones that mean nothing.
Some rows share what the task groups by. The right answer is drawn at last and uniformly, so whoever finds it in the
texts better than by chance has found a leak of the conversion.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from w2s_sweep.data.tasks import TASKS

Row = Mapping[str, Any]
Variants = Callable[[Row], Sequence[Row]]

WORDS = [
    first + second for first, second in product(("ba", "de", "ki", "lo", "mu", "na", "po", "ru", "sa", "ti"), repeat=2)
]
MARKS = {"Human", "Assistant", "SEP", "because"}
"""Words of the schema, which stay."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Recipe:
    """How the rows of a task vary."""

    golds: Variants
    """The row with each of its possible right answers."""
    shared: tuple[str, ...] = ()
    """What rows of one group share, one of these for each group: a column, or some words of the sample."""


def column(name: str, *values: Any) -> Variants:
    """A column that says which answer is right."""
    return lambda row: [{**row, name: value} for value in values]


def place(*names: str) -> Variants:
    """Columns of which the first one always holds the right answer."""
    return lambda row: [
        {**row, **{name: row[names[(n + shift) % len(names)]] for n, name in enumerate(names)}}
        for shift in range(len(names))
    ]


LABEL = column("label", 0, 1)
SCIQ = place("correct_answer", "distractor1", "distractor2", "distractor3")

RECIPES: Mapping[str, Recipe] = {
    "vader": Recipe(column("mean", -2.4, 2.4), ("17",)),
    "sst2": Recipe(LABEL, ("sentence",)),
    "tweet_eval_sentiment": Recipe(column("label", 0, 1, 2), ("text",)),
    "tweet_eval_emotion": Recipe(column("label", *range(4)), ("text",)),
    "twitter_sentiment": Recipe(LABEL, ("text",)),
    "amazon_polarity": Recipe(LABEL, ("content",)),
    "cola": Recipe(LABEL, ("sentence",)),
    "boolq": Recipe(column("answer", False, True), ("passage",)),
    "anli_r2": Recipe(column("label", 0, 1, 2), ("premise",)),
    "anli": Recipe(column("label", *range(3)), ("premise",)),
    "paws": Recipe(LABEL, ("sentence1", "sentence2")),
    "wic": Recipe(LABEL, ("word",)),
    "multirc": Recipe(LABEL, ("paragraph",)),
    "mc_taco": Recipe(LABEL, ("sentence",)),
    "sciq": Recipe(SCIQ, ("question",)),
    "sciq_with_support": Recipe(SCIQ, ("support", "question")),
    "openbookqa": Recipe(column("answerKey", *"ABCD"), ("question_stem",)),
    "cosmos_qa": Recipe(column("label", *range(4)), ("context",)),
    "dream": Recipe(lambda row: [{**row, "answer": choice} for choice in row["choice"]], ("dialogue",)),
    "hellaswag": Recipe(column("label", *"0123"), ("ctx",)),
    "quail": Recipe(column("correct_answer_id", *range(4)), ("context",)),
    "piqa": Recipe(LABEL, ("goal",)),
    "quartz": Recipe(column("answerKey", *"AB"), ("para",)),
    "social_iqa": Recipe(column("label", *"123"), ("context",)),
    "multiple_choice": Recipe(column("answer", *range(3)), ("question",)),
    "ethics_justice": Recipe(LABEL, ("I no longer water her plants", "she painted her door blue.")),
    "ethics_deontology": Recipe(LABEL, ("scenario",)),
    "ethics_virtue": Recipe(LABEL, ("Omar shared his umbrella with a stranger.",)),
    "ethics_utilitarianism": Recipe(place("baseline", "less_pleasant"), ("baseline", "less_pleasant")),
    "hh_rlhf": Recipe(place("chosen", "rejected"), ("How do I pick a lock?",)),
    "preference": Recipe(place("chosen", "rejected"), ("prompt",)),
    "text_label": Recipe(LABEL, ("group",)),
    "jsonl_triplet": Recipe(column("label", False, True), ("question",)),
    "jsonl_triplet_pairs": Recipe(column("label", *"AB"), ("prompt",)),
    "worked_answer": Recipe(column("answer", "3 + 4 = 7. #### 7", "4 - 3 = 1. #### 1"), ("question",)),
}
"""Every task but those of chess, whose rows are games."""


@dataclass(frozen=True)
class Made:
    """A row, the rows that it could have been as well, and the number of its group."""

    row: Row
    golds: Sequence[Row]
    group: int


@cache
def made_up(task: str, groups: int, seed: int = 0) -> Sequence[Made]:
    """Rows in random order, one to three of each group."""
    draw = random.Random(f"{task} {seed}")
    rows: list[Made] = []
    for group in range(groups):
        if task in RECIPES:
            rows += _alike(RECIPES[task], TASKS[task].sample or {}, group, draw)
        else:
            rows += [Made(row, [row], group) for row in GAMES[task](_game(draw))]
    draw.shuffle(rows)
    return rows


def _alike(recipe: Recipe, sample: Row, group: int, draw: random.Random) -> list[Made]:
    """The rows of one group: what they share is the same words in all of them."""
    shared, common = draw.choice(recipe.shared), _Renaming(draw)
    pieces = set() if shared in sample else {*_WORD.findall(shared)}
    assert shared in sample or shared in str(sample), f"{shared!r} is not in the sample"
    made: list[Made] = []
    for _ in range(draw.randint(1, 3)):
        own = _Renaming(draw, common, pieces)
        row = {name: (common if name == shared else own).of(value) for name, value in sample.items()}
        golds = recipe.golds(row)
        made.append(Made(draw.choice(golds), golds, group))
    return made


class _Renaming:
    """A random word for each word, the same one wherever it stands; `pieces` are renamed as `common` does."""

    def __init__(self, draw: random.Random, common: "_Renaming | None" = None, pieces: set[str] | None = None):
        self.common, self.pieces = common, pieces or set()
        self.words = iter(draw.sample(WORDS, len(WORDS)))
        self.names: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """A text, a list of texts or a choice of texts with other words; anything else as it is."""
        if isinstance(value, str):
            return _WORD.sub(lambda found: self.word(found[0]), value)
        if isinstance(value, Mapping):  # choices: {"text": [...], "label": ["A", ...]}
            return {name: inner if name == "label" else self.of(inner) for name, inner in value.items()}
        return [self.of(inner) for inner in value] if isinstance(value, list) else value

    def word(self, old: str) -> str:
        if old in MARKS:
            return old
        if self.common is not None and old in self.pieces:
            return self.common.word(old)
        if old not in self.names:
            self.names[old] = next(self.words)
        return self.names[old]


# chess


@dataclass(frozen=True)
class Game:
    """A position after random moves, how it came about, and two moves that could follow."""

    moves: str
    before: str
    """Forsyth-Edwards notation of the position before the last move."""
    last: str
    following: Sequence[tuple[str, str]]
    """The same move in short and in long notation."""


def _game(draw: random.Random) -> Game:
    import chess

    while True:
        board, before, words = chess.Board(), "", list[str]()
        for number in range(draw.randint(6, 20)):
            if not any(board.legal_moves):
                break
            before, move = board.fen(), draw.choice([*board.legal_moves])
            words += [f"{number // 2 + 1}."] * (number % 2 == 0) + [board.san(move)]
            board.push(move)
        legal = [*board.legal_moves]
        if len(legal) > 1:
            following = [(board.san(move), move.uci()) for move in draw.sample(legal, 2)]
            return Game(" ".join(words), before, board.peek().uci(), following)


GAMES: Mapping[str, Callable[[Game], list[Row]]] = {
    "chess_moves": lambda game: [{"ctx": game.moves, "target": f" {short}"} for short, _ in game.following],
    "checkmate_in_one": lambda game: [{"input": game.moves, "target": short} for short, _ in game.following],
    "chess_puzzles": lambda game: [{"FEN": game.before, "Moves": f"{game.last} {long}"} for _, long in game.following],
}

assert {*RECIPES, *GAMES} == {*TASKS}, "write a recipe for each task"


def write(rows: Sequence[Row], path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
