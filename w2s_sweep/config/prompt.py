"""How a language model is asked for the label of a text or a pair, without training: in words that fit the task."""

from typing import Annotated

from pydantic import Field

from w2s_sweep.config.schema import schema


@schema
class Prompt:
    """The prompt is the instruction, the examples with their answers, then the text and the question, in plain text:

    `instruction`, blank line, `text` `question` `word`, blank line, ..., `text` `question`. The answer is read off as
    the probabilities of the words' first tokens. Of a pair, `text` is `pair` with the two texts in it.
    """

    instruction: str = ""
    """Stands once in front of everything; empty: nothing does."""
    question: Annotated[str, Field(min_length=1)] = "\nThis is"
    """Follows every text; ends where the answer begins, without a blank."""
    words: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Answers of class 0, 1, ..., each with its leading blank; null is the model's `label_words`, which are of two
    classes. Of a pair class 1 is that the first text is preferred."""
    pair: Annotated[str, Field(pattern=r"^(?s:.*)\{first\}(?s:.*)\{second\}(?s:.*)$")] = (
        "First answer:\n{first}\n\nSecond answer:\n{second}"
    )
    """How two texts stand beside each other; only tasks of pairs read it."""
