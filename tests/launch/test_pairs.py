"""A grid of models on both sides is a triangle: pairs that are none are left out and counted."""

import pytest

from tests.command import launch
from w2s_sweep.launch.pairs import keep_pairs


def model(name: str, params: int, keep: int | None = None) -> dict:
    return {"source": {"repository": name}, "path": None, "keep_layers": keep, "params": params}


def cells(**shared) -> list[dict]:
    ladder = [model("a", 1), model("b", 2), model("b", 2, keep=1)]
    return [{"weak": weak, "strong": strong} | shared for weak in ladder for strong in ladder]


def test_no_model_supervises_itself_but_the_first_layers_of_one_may():
    kept, told = keep_pairs(cells())
    assert kept == [1, 2, 3, 5, 6, 7]
    assert told == ["3 of 9 cells have one model on both sides: left out"]


def test_smaller_supervisors_alone_where_that_is_asked_for():
    kept, told = keep_pairs(cells(pairs="smaller"))
    assert kept == [1, 2]
    assert told[1] == "4 of 9 cells have a supervisor that is not smaller (pairs=smaller): left out"


def test_where_nothing_would_be_left_all_is_kept_for_the_checks_to_refuse():
    only = [cells()[0]]
    assert keep_pairs(only) == ([0], [])
    labels = [{"weak": None, "strong": model("a", 1)}]
    assert keep_pairs(labels) == ([0], [])


@pytest.mark.slow
def test_the_triangle_of_a_ladder_is_planned_and_told(tmp_path, tiny_models, tiny_task):
    folders = [line.partition("=")[2] for line in tiny_models if ".path=" in line]
    ladder = [f"{role}.path={','.join(folders)}" for role in ("weak", "strong")]
    status, out, err = launch("-m", f"store={tmp_path}", *ladder, *tiny_task, "pairs=smaller", "plan_only=true")
    assert status == 0, err
    assert "2 of 4 cells have one model on both sides: left out" in out
    assert "1 of 4 cells have a supervisor that is not smaller (pairs=smaller): left out" in out
    assert "1 cells ask for" in out


@pytest.mark.slow
def test_a_single_pair_that_is_none_is_refused(tmp_path):
    status, _, err = launch(f"store={tmp_path}", "model@weak=gpt2", "model@strong=gpt2", "plan_only=true")
    assert status == 1
    assert "both are gpt2" in err
    words = ["model@weak=gpt2_medium", "model@strong=gpt2", "pairs=smaller", "plan_only=true"]
    status, _, err = launch(f"store={tmp_path}", *words)
    assert status == 1
    assert "pairs: smaller, but the supervisor gpt2-medium has" in err
