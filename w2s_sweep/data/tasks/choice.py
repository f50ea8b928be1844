"""Multiple choice: every question gives its right answer (1) and one wrong answer (0)."""

import re
from collections.abc import Sequence

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import Example, Row, Task, label, letter, register, right_and_wrong, text

_MARKER = re.compile(r"\[(header|title|step|substeps)\]")


def _join(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _sciq(row: Row) -> Sequence[Example]:
    return _science(row, support="")


def _sciq_with_support(row: Row) -> Sequence[Example]:
    """Questions on one passage are kept together; a question without a passage stands by itself."""
    return _science(row, support=text(row, "support"))


def _science(row: Row, support: str) -> Sequence[Example]:
    answers = [text(row, name) for name in ("correct_answer", "distractor1", "distractor2", "distractor3")]
    question = text(row, "question")
    passage = group_of("support", support) if support.strip() else None
    return right_and_wrong(_join(support, f"Question: {question}"), answers, 0, question, linked=passage)


def _openbookqa(row: Row) -> Sequence[Example]:
    choices = row["choices"]
    stem = text(row, "question_stem")
    gold = letter(row, choices["label"])
    return right_and_wrong(f"Question: {stem}", choices["text"], gold, stem)


def _cosmos_qa(row: Row) -> Sequence[Example]:
    context = text(row, "context")
    prompt = _join(context, f"Question: {text(row, 'question')}")
    return right_and_wrong(prompt, [text(row, f"answer{n}") for n in range(4)], label(row), context)


def _dream(row: Row) -> Sequence[Example]:
    turns = "\n".join(row["dialogue"])
    choices = list(row["choice"])
    gold = choices.index(row["answer"]) if row["answer"] else None
    return right_and_wrong(_join(turns, f"Question: {text(row, 'question')}"), choices, gold, turns)


def _hellaswag(row: Row) -> Sequence[Example]:
    """The context and one of its endings, without the markers of the how-to pages (`[header]`, `[title]`, `[step]`)."""
    context = _strip_markers(text(row, "ctx"))
    return right_and_wrong(
        context, [_strip_markers(ending) for ending in row["endings"]], label(row), context, line=" "
    )


def _strip_markers(value: str) -> str:
    return " ".join(_MARKER.sub(" ", value.replace(" [title]", ". ")).split())


def _quail(row: Row) -> Sequence[Example]:
    context = text(row, "context")
    prompt = _join(context, f"Question: {text(row, 'question')}")
    return right_and_wrong(prompt, list(row["answers"]), label(row, "correct_answer_id"), context)


def _piqa(row: Row) -> Sequence[Example]:
    goal = text(row, "goal")
    return right_and_wrong(
        f"Goal: {goal}", [text(row, "sol1"), text(row, "sol2")], label(row), goal, line="\nSolution: "
    )


def _quartz(row: Row) -> Sequence[Example]:
    choices, para = row["choices"], text(row, "para")
    prompt = _join(para, f"Question: {text(row, 'question')}")
    return right_and_wrong(prompt, choices["text"], letter(row, choices["label"]), para)


def _social_iqa(row: Row) -> Sequence[Example]:
    """The label counts from 1."""
    context, number = text(row, "context"), label(row)
    prompt = _join(context, f"Question: {text(row, 'question')}")
    answers = [text(row, f"answer{name}") for name in "ABC"]
    return right_and_wrong(prompt, answers, None if number is None else number - 1, context)


def _multiple_choice(row: Row) -> Sequence[Example]:
    question = text(row, "question")
    return right_and_wrong(f"Question: {question}", list(row["choices"]), label(row, "answer"), question)


_SCIQ = ("question", "correct_answer", "distractor1", "distractor2", "distractor3")

register(
    Task(
        "sciq",
        _SCIQ,
        _sciq,
        sample={
            "question": "Which organ pumps blood through the body?",
            "correct_answer": "heart",
            "distractor1": "liver",
            "distractor2": "lung",
            "distractor3": "kidney",
        },
    ),
    Task(
        "sciq_with_support",
        (*_SCIQ, "support"),
        _sciq_with_support,
        version=2,
        sample={
            "support": "Blood is moved by a muscle that contracts about once a second.",
            "question": "Which organ pumps blood through the body?",
            "correct_answer": "heart",
            "distractor1": "liver",
            "distractor2": "lung",
            "distractor3": "kidney",
        },
    ),
    Task(
        "openbookqa",
        ("question_stem", "choices", "answerKey"),
        _openbookqa,
        sample={
            "question_stem": "A puddle is gone after a sunny day because the water",
            "choices": {"text": ["froze", "evaporated", "burned", "rusted"], "label": ["A", "B", "C", "D"]},
            "answerKey": "B",
        },
    ),
    Task(
        "cosmos_qa",
        ("context", "question", "answer0", "answer1", "answer2", "answer3", "label"),
        _cosmos_qa,
        sample={
            "context": "I had packed everything the night before, and still I ran for the train.",
            "question": "Why did the writer run?",
            "answer0": "They were late.",
            "answer1": "They had forgotten to pack.",
            "answer2": "They train for a race.",
            "answer3": "None of the above choices .",
            "label": 0,
        },
    ),
    Task(
        "dream",
        ("dialogue", "question", "choice", "answer"),
        _dream,
        sample={
            "dialogue": ["M: Is the library still open?", "W: Until six, so we have an hour."],
            "question": "What time is it?",
            "choice": ["Five o'clock.", "Six o'clock.", "Seven o'clock."],
            "answer": "Five o'clock.",
        },
    ),
    Task(
        "hellaswag",
        ("ctx", "endings", "label"),
        _hellaswag,
        sample={
            "ctx": "A woman ties her shoes at the starting line. She",
            "endings": ["paints the fence.", "starts to run.", "opens the oven.", "folds the map into a hat."],
            "label": "1",
        },
    ),
    Task(
        "quail",
        ("context", "question", "answers", "correct_answer_id"),
        _quail,
        sample={
            "context": "Lena hid the key under the mat and told nobody.",
            "question": "Who knows where the key is?",
            "answers": ["everybody", "only Lena", "her brother", "not enough information"],
            "correct_answer_id": 1,
        },
    ),
    Task(
        "piqa",
        ("goal", "sol1", "sol2", "label"),
        _piqa,
        sample={
            "goal": "keep a cut apple from turning brown",
            "sol1": "Sprinkle lemon juice on it.",
            "sol2": "Sprinkle sand on it.",
            "label": 0,
        },
    ),
    Task(
        "quartz",
        ("para", "question", "choices", "answerKey"),
        _quartz,
        sample={
            "para": "The closer a planet is to its star, the shorter its year.",
            "question": "Compared with a planet far from the star, the year of a near one is",
            "choices": {"text": ["longer", "shorter"], "label": ["A", "B"]},
            "answerKey": "B",
        },
    ),
    Task(
        "social_iqa",
        ("context", "question", "answerA", "answerB", "answerC", "label"),
        _social_iqa,
        sample={
            "context": "Noor gave the last slice of cake to the new neighbour.",
            "question": "How would the neighbour feel?",
            "answerA": "welcome",
            "answerB": "hungry for revenge",
            "answerC": "asleep",
            "label": "1",
        },
    ),
    Task(
        "multiple_choice",
        ("question", "choices", "answer"),
        _multiple_choice,
        sample={"question": "What is 7 times 8?", "choices": ["54", "56", "63"], "answer": 1},
    ),
)
