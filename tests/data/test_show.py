"""What `w2s data` shows of a task."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.data.made_rows import SPLIT, build, labelled, write
from tests.tiny import tiny_llama
from w2s_sweep.cli import main as w2s
from w2s_sweep.data.show import Reader, describe
from w2s_sweep.data.split import assign


def test_a_description_counts_parts_and_shows_texts(tmp_path: Path) -> None:
    examples = build(write(tmp_path / "a.jsonl", labelled(40, 40)))
    text = describe(
        examples,
        assign(examples, SPLIT).tolist(),
        samples=1,
    )
    assert text.startswith("80 examples in 80 groups")
    for piece in ("half_a", "(50.0 %)", "no leak found", "label 0", "label 1"):
        assert piece in text


def test_rows_are_shown_as_a_model_reads_them_and_both_texts_of_a_pair_count(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama(tmp_path))
    rows = [{"prompt": f"the {n}", "chosen": " good", "rejected": " bad" * 30} for n in range(40)]
    examples = build(write(tmp_path / "pairs.jsonl", rows), "preference")
    text = describe(examples, reader=Reader("tiny", tokenizer, 20), samples=1, width=0)
    assert "50.0 % over 20 and cut" in text
    for cut in (line for line in text.splitlines() if line.count("bad") > 2):
        assert cut.startswith(("text as tiny reads it", "text_other as tiny reads it"))
        assert cut.count("bad") == 20
        assert "the" not in cut.split(":", 1)[1]


@pytest.mark.slow
def test_the_command_takes_overrides_before_and_after_its_options(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "rows.jsonl", labelled(40, 40))
    words = [f"dataset.path={path}", "dataset.name=mine"]
    for argv in (["--rows", "1", *words], [*words, "--rows", "1"], [words[0], "--rows", "1", words[1]]):
        assert w2s(["data", "local", *argv]) == 0
        assert "mine: task text_label" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        w2s(["data", "local", *words, "--rowz", "1"])
