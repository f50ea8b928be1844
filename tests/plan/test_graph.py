"""Merging: equal work once, inputs before users, roles kept; and what is decided about each stage."""

import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.setups import ancestors, cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.kinds import TRAINED
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.plan.graph import make_plan
from w2s_sweep.plan.packs import affinity, make_packs
from w2s_sweep.plan.stage import Stage


def grid(weak, strong, seeds, finetune=None):
    return [
        cell(weak=f"w{w}", strong=f"s{s}", seed=seed, finetune=finetune or Full())
        for w in range(weak)
        for s in range(strong)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(("weak", "strong", "seeds"), [(1, 1, 1), (2, 3, 2), (4, 4, 5)])
def test_a_grid_trains_each_supervisor_and_ceiling_once(weak, strong, seeds):
    graph = merge(grid(weak, strong, seeds), identify)
    roles = [stage.hints.role for stage in graph.stages.values()]
    assert roles.count("weak") == weak * seeds
    assert roles.count("ceiling") == strong * seeds
    assert roles.count("student") == weak * strong * seeds
    assert graph.asked == 4 * weak * strong * seeds


def test_probes_need_one_forward_pass_for_each_model_whatever_the_seeds():
    graph = merge(grid(4, 4, 5, Probe()), identify)
    kinds = [stage.kind for stage in graph.stages.values()]
    assert kinds.count("features") == 8
    assert kinds.count("probe") == 20 + 20 + 80


def test_merging_is_idempotent_and_order_does_not_matter():
    cells = grid(2, 2, 2)
    once, twice, backwards = merge(cells, identify), merge(cells * 2, identify), merge(cells[::-1], identify)
    assert set(once.stages) == set(twice.stages) == set(backwards.stages)


def test_inputs_come_before_users_and_are_in_the_graph():
    graph = merge(grid(2, 2, 2, Probe()), identify)
    seen = set()
    for key, stage in graph.stages.items():
        assert seen.issuperset(stage.inputs.values())
        seen.add(key)


def test_the_ceiling_trains_on_the_same_half_as_the_student_and_with_cross_entropy():
    graph = merge([cell(loss=Confidence())], identify)
    (roles,) = graph.roles
    weak, student, ceiling = (graph.stages[k] for k in (roles.weak, roles.student, roles.ceiling))
    assert (weak.settings.on, student.settings.on, ceiling.settings.on) == ("half_a", "half_b", "half_b")
    assert student.inputs["labels"] == weak.key
    assert "labels" not in ceiling.inputs
    assert student.settings.loss == Confidence()
    assert weak.settings.loss == ceiling.settings.loss == CrossEntropy()


def keys(**change):
    graph = merge([cell(**change)], identify)
    return graph.roles[0]


BASE = Lora(early_stopping="weak")
ANOTHER = {
    "rank": 16, "alpha": 4.0, "batch_size": 16, "epochs": 3, "lr": 3e-4, "lr_schedule": "constant", "lr_warmup": 0.1,
    "betas": (0.8, 0.99), "weight_decay": 0.1, "grad_clip": 1.0, "precision": "fp32", "head_init": "label_words",
    "dropout": 0.1, "early_stopping": "none", "evaluations": 7, "reward": "implicit", "quantise": "nf4",
    "rslora": True, "targets": "all-linear", "dora": True,
}  # fmt: skip


def test_every_setting_of_fine_tuning_enters_the_key():
    """Caches once left out LoRA's rank, weight decay, warm-up, context length or precision."""
    assert set(ANOTHER) == {f.name for f in dataclasses.fields(Lora)} - {"name", "beta"}
    found = {keys(finetune=dataclasses.replace(BASE, **{name: value})).ceiling for name, value in ANOTHER.items()}
    assert len(found | {keys(finetune=BASE).ceiling}) == len(ANOTHER) + 1


def test_early_stopping_changes_no_key_where_there_is_none_and_only_students_have_an_oracle():
    """A stage that is trained on the truth is evaluated against it anyway."""
    found = {name: keys(finetune=Full(early_stopping=name)) for name in ("none", "weak", "oracle")}
    assert found["none"] == keys(finetune=Full(early_stopping="none", evaluations=3)) == keys()
    assert (found["weak"].weak, found["weak"].ceiling) == (found["oracle"].weak, found["oracle"].ceiling)
    assert len({roles.student for roles in found.values()}) == 3
    assert len({roles.ceiling for roles in found.values()}) == 2


def test_beta_enters_the_key_of_implicit_rewards_alone():
    head, other = BASE, dataclasses.replace(BASE, beta=0.5)
    assert keys(finetune=head) == keys(finetune=other)
    head, other = (dataclasses.replace(one, reward="implicit") for one in (head, other))
    assert keys(finetune=head).weak != keys(finetune=other).weak


def test_settings_for_pairs_leave_the_keys_of_single_texts_alone():
    def settings(task, kind):
        graph = merge([cell(dataset=dataclasses.replace(cell().dataset, task=task), finetune=Probe())], identify)
        return next(s.preimage["settings"] for s in graph.stages.values() if s.kind == kind)

    assert "texts" not in settings("sst2", "features")
    assert settings("preference", "features")["texts"] == "both"
    assert {"reward", "beta"}.isdisjoint(merge([cell()], identify).stages[keys().weak].preimage["settings"])


@pytest.mark.parametrize("change", [{"max_tokens": 64}, {"n_train": 50}, {"validation": 0.2}, {"sample_seed": 3}])
def test_settings_of_the_dataset_enter_every_key(change):
    before, after = keys(), keys(dataset=dataclasses.replace(cell().dataset, **change))
    assert {before.weak, before.student, before.ceiling}.isdisjoint({after.weak, after.student, after.ceiling})


def test_seeds_are_different_stages_and_split_seed_fixes_the_deal():
    assert keys(seed=0).ceiling != keys(seed=1).ceiling
    fixed = dataclasses.replace(cell().dataset, split_seed=0)
    graphs = [merge([cell(seed=seed, dataset=fixed)], identify) for seed in (0, 1)]
    splits = [g.stages[g.roles[0].ceiling].settings.split for g in graphs]
    assert splits[0] == splits[1]


def test_the_loss_changes_the_student_alone():
    before, after = keys(), keys(loss=Confidence())
    assert before.weak == after.weak
    assert before.ceiling == after.ceiling
    assert before.student != after.student


def test_labels_and_paths_do_not_enter_keys():
    renamed = cell()
    renamed = dataclasses.replace(renamed, weak=dataclasses.replace(renamed.weak, name="other", params=5))
    assert merge([renamed], identify).roles == merge([cell()], identify).roles


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_only_what_an_unfinished_result_needs_is_run(done, running):
    graph = merge(grid(2, 1, 2, Probe()), identify)
    order = list(graph.stages)
    finished = {order[i] for i in done if i < len(order)}
    flying = {order[i] for i in running if i < len(order)} - finished
    plan = make_plan(graph, finished.__contains__, lambda key: "elsewhere" if key in flying else None)
    to_run = set(plan.keys("to run"))
    for key in to_run:
        for needed in graph.stages[key].inputs.values():
            assert plan.states[needed] in ("done", "in flight", "to run")
    roles = {key for role in graph.roles for key in role.keys()}  # noqa: SIM118
    assert roles <= finished | flying | to_run
    useful = ancestors(graph, roles - finished)
    assert to_run <= useful
    assert not to_run & (finished | flying)


def test_features_that_were_deleted_are_not_made_again_for_finished_probes():
    graph = merge(grid(1, 1, 1, Probe()), identify)
    trained = {key for key, stage in graph.stages.items() if stage.kind in TRAINED}
    plan = make_plan(graph, trained.__contains__, lambda key: None)
    assert plan.keys("to run") == []
    assert len(plan.keys("not needed")) == 3


@pytest.mark.parametrize("flops", [1e30, 1.0])
def test_packs_cover_the_graph_once_share_an_affinity_and_never_wait_for_a_later_one(flops):
    graph = merge(grid(2, 2, 3, Full()), identify)
    packs = make_packs(graph, graph.stages, flops)
    dealt = [key for pack in packs for key in pack.keys]
    assert sorted(dealt) == sorted(graph.stages)
    before: set[str] = set()
    for pack in packs:
        assert pack.waits_for <= before
        assert len({affinity(stage) for stage in pack.stages}) == 1
        before.update(pack.keys)


def test_packs_grow_with_models_not_with_cells():
    few = make_packs(g := merge(grid(2, 2, 1, Probe()), identify), g.stages, 1e30)
    many = make_packs(g := merge(grid(2, 2, 10, Probe()), identify), g.stages, 1e30)
    assert len(few) == len(many) <= 1 + 2 + 2 + 2


def test_estimates_scale_with_the_model():
    graph = merge([cell()], identify)
    ceiling = graph.stages[graph.roles[0].ceiling]
    model = dataclasses.replace(ceiling.hints.model, params=10 * ceiling.hints.model.params)
    larger = Stage(ceiling.settings, ceiling.inputs, dataclasses.replace(ceiling.hints, model=model))
    assert ceiling.cost.flops > 0
    assert larger.cost.flops == pytest.approx(10 * ceiling.cost.flops)


@pytest.mark.slow
def test_planning_loads_no_torch():
    code = (
        "import sys; import w2s_sweep.launch.main, w2s_sweep.cli, w2s_sweep.launch.sweep, w2s_sweep.sources;"
        "print([m for m in ('torch', 'transformers', 'wandb', 'datasets', 'matplotlib', 'peft') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
