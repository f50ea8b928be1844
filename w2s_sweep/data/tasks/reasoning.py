"""Questions that are answered in written steps, of which the final answer alone is judged: the form of GSM8K (Cobbe et
al. 2021, arXiv 2110.14168), where it stands behind "####"."""

import ast
import operator
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import Example, Odd, Row, Task, register, strict_text

MARK = "####"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
CALCULATOR = re.compile(r"<<[^<>]*>>")
"""What GSM8K's steps hold for a calculator that nobody here has: `<<48/2=24>>`."""
LONGEST, LARGEST_BITS = 100, 10_000
"""Characters of an expression, and digits of a power in it: a written answer must not keep the judge busy."""
OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def final_answer(written: str) -> str | None:
    """What a text answers, in one spelling for equal values; None where it ends without an answer.

    It is what stands behind the last "####", up to the end of its line; without that mark the text's last number. A
    number, a fraction or an expression (`1,200`, `$3.50`, `3/4`, `2^3 + 1`) counts by its value, anything else by its
    words.
    """
    _, mark, behind = written.rpartition(MARK)
    if mark:
        said = behind.strip().partition("\n")[0].strip()
        value = _value(said)
        return (str(value) if value is not None else " ".join(said.casefold().split())) or None
    numbers = NUMBER.findall(written)
    value = _value(numbers[-1]) if numbers else None
    return None if value is None else str(value)


def _value(said: str) -> Fraction | None:
    """The value of a number or an expression of numbers; None of anything else."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", said.replace("$", "").replace("^", "**")).strip().rstrip(".")
    share = plain.endswith("%")
    if not plain or len(plain) > LONGEST:
        return None
    try:
        value = _evaluate(ast.parse(plain.rstrip("%").strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None
    return value / 100 if share else value


def _evaluate(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluate(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            power = _evaluate(right)
            base = _evaluate(left)
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if power.denominator != 1 or abs(power) * size > LARGEST_BITS:
                raise ValueError(f"no power that is computed: {power}")
            return base ** int(power)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case _:
            raise ValueError("no expression of numbers")


def _read_worked(row: Row) -> Sequence[Example]:
    """A question, and an answer whose steps end with "#### RESULT"."""
    question, answer = strict_text(row, "question").strip(), CALCULATOR.sub("", strict_text(row, "answer")).strip()
    if MARK not in answer or final_answer(answer) is None:
        raise Odd(f"column 'answer' has no {MARK} RESULT at its end", "whose answer has no result")
    return [Example(f"Question: {question}\nAnswer:", 0, group_of(question), target=f" {answer}")]


register(
    Task(
        "worked_answer",
        ("question", "answer"),
        _read_worked,
        kind="generate",
        answer=final_answer,
        sample={"question": "Ann has 3 pens and buys 4 more. How many has she?", "answer": "3 + 4 = 7.\n#### 7"},
    ),
)
