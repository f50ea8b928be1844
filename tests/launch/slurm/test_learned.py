"""What is asked for follows what finished stages of the same work used; what is set by hand stays. Numbers by hand."""

import json
import re
import secrets

import pytest

from tests.launch.named import name_stages
from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full
from w2s_sweep.launch.slurm.explain import explain_asks, learners
from w2s_sweep.launch.slurm.learned import learn_used
from w2s_sweep.launch.slurm.resources import NOTHING, ask_of
from w2s_sweep.launch.slurm.settings import Settings, StageSettings
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.plan.packs import Pack
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.store.records import NamedStage

CPU = Settings(gpus=0)
CONFIDENCE = Confidence()
TOLD = "time and memory: {} stages ask by what {} finished ones like them used, x 1.5"


def student(seed=0, **change):
    graph = merge([cell(weak="w0", strong="s0", seed=seed, **change)], identify)
    return graph.stages[graph.roles[0].student]


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    found.prepare()
    return found


def finish(store, *stages, seconds=6000.0, gpus=0, rss=0.0):
    for number, stage in enumerate(stages):
        with store.attempt(stage.key) as out:
            write_json(out / "preimage.json", stage.preimage)
            write_json(out / "summary.json", {"seconds": seconds - number, "GPUs": gpus, "peak RSS GB": rss})
    named = [NamedStage(stage.key, stage.kind, stage.label) for stage in stages]
    name_stages(store, f"sweep-{secrets.token_hex(4)}", named)


def asked(store, stage, settings=CPU, times=1):
    return ask_of(Pack("p", (stage,) * times, frozenset()), settings, learn_used(store, [stage]))


def test_without_finished_stages_nothing_is_learned(store):
    learned = learn_used(store, [student()])
    assert learned.of(student(), 0) is None
    assert learners([student()], CPU, learned) == {}
    assert learned.say({}) == ""
    assert asked(store, student()) == ask_of(Pack("p", (student(),), frozenset()), CPU, NOTHING)


def test_time_and_memory_follow_the_most_that_stages_of_other_seeds_used(store):
    """6000 s x 1.5 are 150 minutes, and 30 for the start; 10 GB x 1.5 are 15."""
    finish(store, *(student(seed) for seed in (1, 2, 3)), rss=10.0)
    found = asked(store, student())
    assert (found.minutes, found.memory_gb) == (180, 15)
    assert asked(store, student(), times=2).minutes == 330
    assert told(store, student()) == TOLD.format(1, 3)


def told(store, *stages, settings=CPU):
    learned = learn_used(store, stages)
    return learned.say(learners(stages, settings, learned))


def test_those_alone_are_counted_that_ask_for_what_others_used(store):
    """Not: what few stages used that the estimate exceeds, what ran on other devices, what is set by hand."""
    few, elsewhere = student(loss=CONFIDENCE), student(finetune=Full(epochs=3))
    finish(store, *(student(seed) for seed in (1, 2, 3)))
    finish(store, student(1, loss=CONFIDENCE), seconds=1e-6)
    finish(store, student(1, finetune=Full(epochs=3)), gpus=1)
    assert told(store, student(), student(seed=9), few, elsewhere) == TOLD.format(2, 3)
    assert told(store, few, elsewhere) == ""
    by_hand = Settings(gpus=0, stages={"student": StageSettings(minutes=7, memory_gb=3)})
    assert told(store, student(), settings=by_hand) == ""
    half = Settings(gpus=0, stages={"student": StageSettings(memory_gb=3)})
    assert told(store, student(), settings=half) == TOLD.format(1, 3)


def test_three_stages_lower_what_was_derived_and_fewer_only_raise_it(store):
    before = ask_of(Pack("p", (student(),), frozenset()), CPU, NOTHING).memory_gb
    assert before > 2
    finish(store, student(1), student(2), seconds=10.0, rss=0.4)
    assert asked(store, student()).memory_gb == before
    finish(store, student(3), seconds=10.0, rss=0.4)
    assert asked(store, student()).memory_gb == 2


@pytest.mark.parametrize(("count", "rss", "least"), [(3, 10.0, 10), (3, 1.0, None), (1, 4.0, 5), (1, 6.0, 6)])
def test_without_its_margin_memory_is_what_was_used_and_of_few_stages_the_estimate(store, count, rss, least):
    """5 GB are derived; three that held 1 GB ask for 2, the least that there is."""
    finish(store, *(student(seed) for seed in range(1, count + 1)), rss=rss)
    assert asked(store, student()).least_gb == least


def test_what_is_set_by_hand_stays(store):
    finish(store, *(student(seed) for seed in (1, 2, 3)), rss=10.0)
    by_hand = Settings(gpus=0, minutes=7, memory_gb=3)
    found = asked(store, student(), by_hand)
    assert (found.minutes, found.memory_gb) == (7, 3)
    assert learners([student()], by_hand, learn_used(store, [student()])) == {}


def test_a_plan_says_where_each_number_comes_from(store):
    assert explained(store, CPU) == "5 GB (default), 45 minutes (default)"
    finish(store, *(student(seed) for seed in (1, 2, 3)), rss=10.0)
    assert explained(store, CPU) == (
        "15 GB (learned from 3 finished stages), 180 minutes (learned from 3 finished stages)"
    )
    assert explained(store, Settings(gpus=0, minutes=7)) == (
        "15 GB (learned from 3 finished stages), 7 minutes (set by hand)"
    )


def explained(store, settings):
    (line,) = explain_asks([student()], settings, learn_used(store, [student()]))
    head, _, told = line.partition(": ")
    assert head == "asks of 1 finetune student, a task each"
    return told


def test_time_of_a_stage_that_was_interrupted_counts_from_its_first_start(store):
    finish(store, *(student(seed) for seed in (1, 2, 3)), seconds=600.0)
    path = store.path(student(2).key) / "summary.json"
    write_json(path, read_json(path) | {"seconds of all runs": 6000.0})
    assert asked(store, student()).minutes == 180


def test_no_task_asks_for_more_time_than_the_longest(store):
    finish(store, student(1), seconds=1e6)
    most = Settings(gpus=0, max_minutes=100)
    assert asked(store, student(), most).minutes == 100
    bounded = "100 minutes (learned from 1 finished stages, bounded by max_minutes)"
    assert explained(store, most).endswith(bounded)
    assert explained(store, Settings(gpus=0, max_minutes=100, minutes=200)).endswith("200 minutes (set by hand)")


@pytest.mark.parametrize(
    ("gpus", "beside", "rss", "asked_gb"),
    [
        (1, 1, 70.0, 105),
        (1, 1, 0.5, 4),  # 4 GB a GPU are the least: what its driver pins counts, and is in no RSS
        (2, 1, 7.0, 21),  # two processes
        (1, 3, 7.0, 33),  # three stages in a task
    ],
)
def test_memory_of_the_machine_is_learned_from_stages_on_as_many_gpus(store, gpus, beside, rss, asked_gb):
    finish(store, *(student(seed) for seed in (1, 2, 3)), gpus=gpus, rss=rss)
    settings = Settings(gpus=gpus, stages_per_gpu=beside)
    assert asked(store, student(), settings).memory_gb == asked_gb
    assert explained(store, settings).startswith(f"{asked_gb} GB (learned from 3 finished stages), ")


def test_stages_that_do_not_say_what_they_held_teach_their_time_alone(store):
    """As those on GPUs did not in earlier versions: one of three that says so decides nothing."""
    finish(store, student(1), student(2), gpus=1)
    finish(store, student(3), gpus=1, rss=1.0)
    plain = ask_of(Pack("p", (student(),), frozenset()), Settings(gpus=1), NOTHING)
    found = asked(store, student(), Settings(gpus=1))
    assert (found.minutes, found.memory_gb) == (180, plain.memory_gb)
    assert explained(store, Settings(gpus=1)).startswith(f"{plain.memory_gb} GB (default), 180 minutes (learned")


@pytest.mark.parametrize("gpus", [1, 2])
def test_stages_on_other_devices_teach_nothing(store, gpus):
    finish(store, *(student(seed) for seed in (1, 2, 3)), gpus=gpus)
    assert asked(store, student()).minutes == ask_of(Pack("p", (student(),), frozenset()), CPU).minutes


def test_other_settings_are_other_work_and_another_learning_rate_is_not(store):
    finish(store, *(student(seed, finetune=Full(lr=1e-3)) for seed in (1, 2, 3)))
    assert asked(store, student(finetune=Full(lr=1e-4))).minutes == 180
    assert asked(store, student(finetune=Full(lr=1e-4, epochs=3))).minutes < 60


def test_a_dry_run_shows_what_would_be_asked_for(sweeps, capsys):
    sweeps.submit(sweeps.cell(), gpus=0)
    for job in dict.fromkeys(sweeps.jobs().values()):
        finish(sweeps.store, *sweeps.stages_of(job), seconds=60000.0)
    sweeps.submit(sweeps.cell(seed=1), gpus=0, dry_run=True)
    out = capsys.readouterr().out
    assert "a task each: 5 GB (default), 1440 minutes (learned from 1 finished stages, bounded by max_minutes)" in out
    shown = re.findall(r"--time=(\d+)", out)
    sweeps.submit(sweeps.cell(seed=1), gpus=0)
    asked_for = [f"{minutes}" for minutes in re.findall(r"(\d+) minutes", capsys.readouterr().out)]
    assert sorted(set(shown)) == sorted(set(asked_for))
    assert max(map(int, shown)) == 1440  # the longest, of 1500 that were learned


def test_stages_that_trained_beside_others_teach_nothing(store):
    one = student(1)
    finish(store, one)
    assert learn_used(store, [student()]).of(student(), 0) is not None
    write_json(store.path(one.key) / "summary.json", {"seconds": 6000.0, "GPUs": 0, "students at once": 4})
    assert learn_used(store, [student()]).of(student(), 0) is None


def test_folders_that_cannot_be_read_teach_nothing(store):
    one = student(1)
    store.path(one.key).mkdir()
    (store.path(one.key) / "preimage.json").write_text("[")
    name_stages(store, "damaged", [NamedStage(one.key, one.kind, one.label)])
    assert learn_used(store, [student()]).of(student(), 0) is None


@pytest.mark.parametrize("odd", [None, float("nan"), float("inf"), "much", [], 10**400], ids=lambda odd: str(odd)[:9])
def test_a_summary_with_odd_numbers_stops_nobody(store, odd):
    """It was damaged or edited; JSON's readers take NaN and Infinity."""
    one = student(1)
    finish(store, one, student(2), student(3), rss=10.0)
    for name in ("seconds", "GPUs", "peak RSS GB"):
        said = {"seconds": 60.0, "GPUs": 0, "peak RSS GB": 1.0} | {name: odd}
        (store.path(one.key) / "summary.json").write_text(json.dumps(said))
        found = learn_used(store, [student()])
        assert ask_of(Pack("p", (student(),), frozenset()), CPU, found).minutes == 180
    (store.path(one.key) / "preimage.json").write_text(json.dumps(one.preimage | {"inputs": odd, "settings": odd}))
    assert learn_used(store, [student()]).of(student(), 0).stages == 2


def test_a_submission_says_where_its_numbers_come_from(sweeps, cluster, capsys):
    """What is free of nodes and what they have at most are one look at them."""
    sweeps.submit(sweeps.cell(), gpus=0)
    for job in dict.fromkeys(sweeps.jobs().values()):
        finish(sweeps.store, *sweeps.stages_of(job), rss=10.0)
    capsys.readouterr()
    cluster.controller.calls.clear()
    sweeps.submit(sweeps.cell(seed=1), gpus=0)
    assert sum("node" in call.arguments for call in cluster.calls("scontrol")) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "3 stages ask by what 3 finished ones like them used, x 1.5" in out
    assert {task["ask"]["minutes"] for task in sweeps.submissions()[-1]["tasks"]} == {180}
