"""A label that stands in its text is found."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.made_rows import build, labelled, write
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.show import describe


def test_a_label_in_the_text_is_found(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 500, (400, 12))
    honest = [{"text": " ".join(f"w{i}" for i in row), "label": n % 2} for n, row in enumerate(words)]
    assert not scan_leaks(build(write(tmp_path / "a.jsonl", honest))).found
    marked = [row | {"text": f"{row['text']} label: {row['label']}"} for row in honest]
    leak = scan_leaks(build(write(tmp_path / "b.jsonl", marked)))
    assert (leak.found, leak.token_accuracy, leak.token[0] in "01") == (True, 1.0, True)


def test_a_gold_letter_among_texts_is_found(tmp_path: Path) -> None:
    """Defect: the right answer of OpenBookQA written as its letter, the wrong one as its text."""
    rng = np.random.default_rng(0)
    answers = [f"{'ABCD'[rng.integers(4)]}" if n % 2 else f"some w{rng.integers(99)} thing" for n in range(400)]
    rows = [{"text": f"Question\nAnswer: {a}", "label": n % 2, "group": n // 2} for n, a in enumerate(answers)]
    assert scan_leaks(build(write(tmp_path / "a.jsonl", rows))).auc > 0.99


@pytest.mark.slow
def test_an_answer_that_tells_part_of_its_label_alone_is_no_leak_and_is_said(tmp_path: Path) -> None:
    """As in QuAIL, where "not enough information" is offered in every question and right in a quarter of them."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(1000):
        sure = rng.random() < (0.3 if n % 2 else 0.1)
        answer = "not enough information" if sure else " ".join(f"w{i}" for i in rng.integers(0, 300, 3))
        rows.append({"text": f"Question: q{n // 2}\nAnswer: {answer}", "label": n % 2, "group": n // 2})
    examples = build(write(tmp_path / "a.jsonl", rows))
    leak = scan_leaks(examples)
    assert leak.answer_auc > 0.56
    assert (leak.found, leak.partial) == (False, True)
    assert "the answer alone tells part of its label" in describe(examples)
    single = build(write(tmp_path / "b.jsonl", labelled(40, 40)))
    assert scan_leaks(single).answer_auc is None
