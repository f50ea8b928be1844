"""The PGR of files: the same numbers as those of a sweep, counted by hand, with groups and several seeds."""

import json

import numpy as np
import pytest

from w2s_sweep.cli import main
from w2s_sweep.errors import ConfigError, DataError
from w2s_sweep.results.score_files import parse_request, score_files

RIGHT = {"weak": 60, "student": 75, "ceiling": 90}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def files(tmp_path):
    """200 examples in pairs of one document; a role is right in `RIGHT` documents of 100."""
    truth = [{"id": f"e{i}", "label": i % 2, "document": f"d{i // 2}"} for i in range(200)]
    words = [f"truth={write(tmp_path / 'truth.jsonl', truth)}"]
    for role, right in RIGHT.items():
        rows = [{"id": f"e{i}", "probability": 0.8 if (i % 2) == (i // 2 < right) else 0.2} for i in range(200)]
        words.append(f"{role}={write(tmp_path / f'{role}.jsonl', rows)}")
    return words


def test_scores_pgr_and_interval(files, capsys):
    assert main(["score", *files]) == 0
    out = capsys.readouterr().out
    for role, right in RIGHT.items():
        assert f"{role:<8} .{right}00 [" in out
    assert "PGR .50 [.37, .63]" in out
    assert "200 of 200 examples are scored" in out


def test_groups_are_one_observation(files):
    plain, grouped = (score_files(parse_request([*files, *more])) for more in ([], ["group=document"]))
    assert "200 groups of examples" in plain
    assert "100 groups of examples" in grouped

    def width(text):
        low, high = text.rpartition("PGR .50 [")[2].strip("]").split(", ")
        return float(high) - float(low)

    assert width(grouped) == pytest.approx(np.sqrt(2) * width(plain), rel=0.1)


def test_several_seeds(files):
    student = next(word for word in files if word.startswith("student="))
    words = [word for word in files if word != student]
    out = score_files(parse_request([*words, f"{student},{student.partition('=')[2]}"]))
    assert "2 seeds" in out
    assert "counted in both" in out


def test_what_a_file_lacks_is_refused_or_left_out(files, tmp_path):
    path = tmp_path / "student.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:190]))
    with pytest.raises(DataError, match=r"student: .* no prediction for 10 of 200 examples"):
        score_files(parse_request(files))
    assert "190 of 200 examples are scored" in score_files(parse_request([*files, "missing=skip"]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["weak=a"], ["student: needs a file", "weak: a is no file"]),
        (["week=a"], ["Did you mean 'weak'?"]),
        (["metric=acuracy"], ["Did you mean 'accuracy'?"]),
        (["weak=a,b", "student=a,b,c"], ["weak 2, student 3"]),
    ],
)
def test_wrong_words_are_told_together(words, told):
    with pytest.raises(ConfigError) as error:
        parse_request(words)
    assert [text for text in told if text not in str(error.value)] == []
