"""What a task asks the cluster for: derived from its stages, or said, the nearest word first. Numbers are by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.cell import Cell
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Adapt, Model, Resources
from w2s_sweep.launch.slurm.resources import Ask, ask_of, device_of
from w2s_sweep.launch.slurm.settings import Settings, StageSettings, read_settings
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.selective import Selective
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.packs import make_packs

SMALL = Settings(gpu_memory_gb=10, gpu_tflops=1, max_minutes=1_000_000)
"""GPUs so small and slow that every GB and every FLOP shows."""
NOTHING = Ask(gpus=0, cpus=2, memory_gb=4, minutes=30)
"""Stages that need no device and hardly any time."""


def strong(**change) -> Model:
    """30 billion parameters, 32 blocks of width 4096."""
    return dataclasses.replace(model("s0"), params=30_000_000_000, layers=32, hidden=4096, **change)


def large(**change) -> Cell:
    """10,000 training rows (halves of 4,500, 1,000 for validation) and 2,000 test rows of 100 tokens each."""
    data = dataclasses.replace(dataset(), n_train=10_000, n_test=2_000, test_split="test")
    fields: dict = {"dataset": data, "strong": strong()} | change
    return dataclasses.replace(cell(), **fields)


def planned(**change) -> Graph:
    return merge([large(**change)], identify)


def stages(graph: Graph, what: str) -> list[str]:
    """Keys of the stages of a kind or a role."""
    return [key for key, stage in graph.stages.items() if what in (stage.kind, stage.hints.role)]


def asked(graph: Graph, keys: Sequence[str], settings: Settings = SMALL) -> Ask:
    """What one task with these stages asks for."""
    (pack,) = make_packs(graph, keys, 1e30)
    return ask_of(pack, settings)


def asked_by(what: str, settings: Settings = SMALL, **change) -> Ask:
    """What a task with the last stage of a kind or a role, that of the strong model, asks for."""
    graph = planned(**change)
    return asked(graph, stages(graph, what)[-1:], settings)


# GPUs: what trains is shared out, over eight of these where fewer do not do. Memory: two copies in 32 bits, or in 16 of
# frozen weights, and 4 GB a process. Minutes: 3 * FLOPs / 1e12 / 60 + 30.
FEATURES = Ask(1, 4, 76, 2190)  # three fifths of the blocks: 2 * 30e9 * .6 * 12,000 * 100 FLOPs
FULL = Ask(8, 32, 272, 10_380)  # 30e9 * 100 * (6 * 2 * 4,500 + 2 * 7,500)
LORA = dataclasses.replace(FULL, memory_gb=152)
PROMPT = Ask(1, 4, 124, 960)  # 2 * 30e9 * (3,000 + 8) * (100 + 3)
ADAPT = Ask(8, 32, 272, 9_030)  # 6 * 30e9 * 10,000 * 100
IN_CONTEXT = Ask(1, 4, 124, 1_000_000)


@pytest.mark.parametrize(
    ("what", "change", "ask"),
    [
        ("features", {"finetune": Probe()}, FEATURES),
        ("ceiling", {"finetune": Full()}, FULL),
        ("student", {"finetune": Full()}, FULL),
        ("ceiling", {"finetune": Lora()}, LORA),
        ("prompt", {"method": Prompting()}, PROMPT),
        ("adapt", {"method": Generative()}, ADAPT),
        ("adapt", {"method": Generative(adapt=Adapt(rank=8))}, dataclasses.replace(ADAPT, memory_gb=152)),
        ("annotate", {"method": Icm()}, IN_CONTEXT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_uses_a_model_asks_for_its_size_and_its_work(what, change, ask):
    assert asked_by(what, **change) == ask


@pytest.mark.parametrize(("finetune", "ask"), [(Full(), FULL), (Lora(), LORA)])
def test_generation_asks_for_what_its_fine_tuning_needs(finetune, ask):
    data = dataclasses.replace(dataset(), task="chess_puzzles", n_train=10_000, n_test=2_000, test_split="test")
    assert asked_by("generate", dataset=data, finetune=finetune) == ask


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("data", Naive()),
        ("probe", Naive()),
        ("combine", Ensemble()),
        ("weigh", Ensemble(rule="boosted")),
        ("filter", ConfidenceFilter()),
        ("reveal", GroundTruthBudget()),
        ("relabel", KnnRelabel()),
        ("select", OverlapSelection()),
        ("calibrate", Prompting()),
        ("elicit", IcmFeatures()),
        ("correct", Selective()),
        ("route", Selective()),
    ],
)
def test_what_uses_no_model_asks_for_no_device(kind, method):
    assert asked_by(kind, method=method, finetune=Probe()) == NOTHING
    assert asked_by(kind, Settings(cpus=7), method=method, finetune=Probe()).cpus == 7


def test_the_weak_model_asks_for_less():
    graph = planned()
    assert asked(graph, stages(graph, "weak")) == Ask(gpus=1, cpus=4, memory_gb=5, minutes=45)


def test_the_defaults_are_80_gb_100_tflops_and_a_day():
    assert asked_by("ceiling", Settings()) == Ask(gpus=8, cpus=32, memory_gb=272, minutes=135)
    assert asked_by("annotate", Settings(), method=Icm()).minutes == 1440


def test_stages_beside_each_other_add_up_and_share_a_gpu():
    three = dataclasses.replace(SMALL, stages_per_gpu=3)
    assert asked_by("ceiling", three) == dataclasses.replace(FULL, gpus=1, cpus=12, memory_gb=3 * 244)
    assert asked_by("probe", three, finetune=Probe()) == dataclasses.replace(NOTHING, cpus=6, memory_gb=12)
    (stage,) = [planned().stages[key] for key in stages(planned(), "ceiling")]
    assert device_of(stage, three) == pytest.approx(10e9 / 3)
    assert device_of(stage, Settings(gpus=0)) is None


def test_time_limits_are_rounded_up_to_a_quarter_of_an_hour():
    """34.5 minutes of work, tripled, on the minutes that are always there."""
    for least, minutes in [(1, 105), (15, 120), (16, 120), (17, 135)]:
        assert asked_by("ceiling", Settings(min_minutes=least)).minutes == minutes


def test_a_task_asks_for_the_most_of_its_stages_and_the_time_of_all():
    graph = planned(finetune=Probe())
    together = asked(graph, [*stages(graph, "features")[-1:], *stages(graph, "ceiling")])
    assert together == FEATURES
    two = merge([large(seed=seed) for seed in (0, 1)], identify)
    assert asked(two, stages(two, "ceiling")) == dataclasses.replace(FULL, minutes=2 * 10_350 + 30)


def all_four(value: int) -> dict[str, Any]:
    return {"gpus": value, "cpus": value, "memory_gb": value, "minutes": value}


def four(value: int) -> Ask:
    return Ask(**all_four(value))


def said(**stages: int) -> dict[str, StageSettings]:
    return {name: StageSettings(**all_four(value)) for name, value in stages.items()}


@pytest.mark.parametrize(
    ("settings", "ask"),
    [
        (Settings(), four(1)),
        (Settings(**all_four(2)), four(2)),
        (Settings(**all_four(2), stages=said(finetune=3)), four(3)),
        (Settings(**all_four(2), stages=said(finetune=3, ceiling=4)), four(4)),
        (Settings(**all_four(2), stages=said(probe=3, student=4)), four(2)),
        (Settings(stages=said(ceiling=4)), four(4)),
    ],
)
def test_the_nearest_word_counts(settings, ask):
    """The launcher's for a role, for a kind, for everything, then the model's own."""
    assert asked_by("ceiling", settings, strong=strong(resources=Resources(**all_four(1)))) == ask


def test_zero_gpus_is_a_word_too():
    assert asked_by("ceiling", Settings(gpus=0)).gpus == 0


@pytest.mark.parametrize("name", ["gpus", "cpus", "memory_gb", "minutes"])
def test_what_is_left_open_is_derived(name):
    """Each of the four by itself: the file of the settings leaves all of them null."""
    set_one: dict[str, Any] = {name: 9}
    open_but_one = dataclasses.replace(SMALL, stages={"ceiling": StageSettings(**set_one), "finetune": StageSettings()})
    # CPUs and memory are those of the processes, one a GPU.
    found = set_one | ({"cpus": 4 * 9, "memory_gb": 240 + 4 * 9} if name == "gpus" else {})
    assert asked_by("ceiling", open_but_one) == dataclasses.replace(FULL, **found)
    assert asked_by("student", open_but_one) == FULL
    assert asked_by("ceiling", SMALL, strong=strong(resources=Resources(**{name: 9}))) == dataclasses.replace(
        FULL, **found
    )


def test_a_time_limit_that_was_said_is_taken_as_it_is():
    """The largest of a task's stages, neither rounded nor cut."""
    graph = planned(finetune=Probe())
    keys = [*stages(graph, "features")[-1:], *stages(graph, "ceiling")]
    minutes = Settings(
        max_minutes=100, stages={"features": StageSettings(minutes=7), "probe": StageSettings(minutes=1441)}
    )
    assert asked(graph, keys, minutes).minutes == 1441


def test_labels_are_not_made_with_what_a_model_asks_for_itself():
    graph = planned(method=KnnRelabel(), strong=strong(resources=Resources(**all_four(9))), finetune=Probe())
    assert asked(graph, stages(graph, "relabel")) == NOTHING
    assert asked(graph, stages(graph, "features")[-1:]) == four(9)


def test_settings_are_read_from_what_hydra_composes():
    null = {"gpus": None, "cpus": None, "memory_gb": None, "minutes": None}
    given = {**null, "stages": {"ceiling": null | {"gpus": 3}, "probe": null}, "gpu_memory_gb": 10, "gpu_tflops": 1}
    assert asked_by("ceiling", read_settings(given | {"max_minutes": 1000})) == Ask(3, 12, 252, 1000)
