"""Sentiment of reviews and tweets (1 is positive), and the emotion of tweets."""

from collections.abc import Sequence

from w2s_sweep.data.tasks.base import Example, Row, Task, binary, label, one, register, text

CLEAR = 0.5
"""Texts whose mean rating, in [-4, 4], is nearer to 0 are neither positive nor negative."""


def _vader(row: Row) -> Sequence[Example]:
    """Mean of 20 human ratings (Hutto and Gilbert 2014); sentences of one document (`12_3`) are one group."""
    rating = float(row["mean"])
    if abs(rating) < CLEAR:
        return []
    value = text(row, "text")
    document, several, _ = text(row, "id").partition("_")
    return one(value, int(rating > 0), *(("document", document) if several else (value,)))


def _sst2(row: Row) -> Sequence[Example]:
    """Rows of the hub's training split are sentences and phrases of them, which do not say what sentence they are from:
    parts of one sentence can be in both halves, as in the paper. Its validation rows are whole sentences."""
    return one(text(row, "sentence"), binary(row), text(row, "sentence"))


def _tweet_eval(row: Row) -> Sequence[Example]:
    """0 negative, 1 neutral (left out), 2 positive."""
    number = label(row)
    if number == 1:
        return []
    return one(text(row, "text"), None if number is None else int(number == 2), text(row, "text"))


def _emotion(row: Row) -> Sequence[Example]:
    """Four classes, unbalanced in the source: 0 anger, 1 joy, 2 optimism, 3 sadness (Mohammad et al. 2018)."""
    return one(text(row, "text"), label(row), text(row, "text"))


def _twitter(row: Row) -> Sequence[Example]:
    return one(text(row, "text"), binary(row), text(row, "text"))


def _amazon(row: Row) -> Sequence[Example]:
    title, content = text(row, "title"), text(row, "content")
    return one(f"{title}\n{content}", binary(row), content)


register(
    Task(
        "vader",
        ("id", "mean", "text"),
        _vader,
        sample={"id": "17_2", "mean": 2.4, "text": "A warm and very funny little film."},
    ),
    Task("sst2", ("sentence", "label"), _sst2, sample={"sentence": "the plot never wakes up", "label": 0}),
    Task(
        "tweet_eval_sentiment",
        ("text", "label"),
        _tweet_eval,
        sample={"text": "@user best concert of my life!", "label": 2},
    ),
    Task(
        "tweet_eval_emotion",
        ("text", "label"),
        _emotion,
        classes=("anger", "joy", "optimism", "sadness"),
        sample={"text": "last day with the team, I will miss every one of them", "label": 3},
    ),
    Task(
        "twitter_sentiment",
        ("text", "label"),
        _twitter,
        thin_by=("text",),
        sample={"text": "missed the bus again, what a morning", "label": 0},
    ),
    Task(
        "amazon_polarity",
        ("title", "content", "label"),
        _amazon,
        thin_by=("content",),
        sample={"title": "Broke in a week", "content": "The handle came off on day six.", "label": 0},
    ),
)
