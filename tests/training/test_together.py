"""Students that train on one frozen base at the same time: each step of each is what it would be alone."""

import math
import traceback
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import sentences, tiny_bert, tiny_deberta, tiny_gpt2, tiny_llama
from w2s_sweep.errors import DeviceLost, ModelError
from w2s_sweep.losses.confidence import Confidence, ConfidenceReleased
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.checkpointing import checkpoint_blocks, is_checkpointed
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.grouped import GroupedLinear, Owners, Product, group, twin
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.stages.finetune import PairLearner, TextLearner
from w2s_sweep.training.loop import Hooks, Recipe, predict, train, train_in_steps
from w2s_sweep.training.together import CommonPasses, Gradients

ROWS = 8
RECIPE = Recipe(batch_size=4, epochs=1, lr=1e-2, seed=0, grad_clip=1.0)


@dataclass(frozen=True)
class Student:
    """One of those that train together."""

    loss: object
    seed: int
    rank: int = 2
    targets: tuple[str, ...] = ()
    epochs: int = 1
    rows: int = ROWS


STUDENTS = (Student(CrossEntropy(), 0), Student(Confidence(), 1, epochs=2), Student(ConfidenceReleased(), 2, rank=4))
"""The last one's loss has a statistic of the batch."""
TARGETS = {tiny_llama: ("q_proj", "v_proj"), tiny_gpt2: ("c_attn",), tiny_bert: ("query",)}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Backbones by how they are built, and what their adapters stand on."""
    folder = tmp_path_factory.mktemp("bases")
    return {build: (load_backbone(build(folder / build.__name__)), targets) for build, targets in TARGETS.items()}


def learner(base, student, *, packs=True, budget=10**6, pairs=False, checkpointing=False):
    backbone, targets = base
    backbone = replace(twin(backbone), packs=packs)
    model = Classifier(backbone, classes=1 if pairs else 2)
    add_lora(model, rank=student.rank, alpha=8.0, targets=student.targets or targets, seed=student.seed)
    if checkpointing:
        checkpoint_blocks(backbone.blocks)
    kind = PairLearner if pairs else TextLearner
    return kind(model.train(), backbone.tokens(sentences((1 + pairs) * ROWS), 32), "fp32", budget)


def labels_of(student):
    p = torch.rand(ROWS, generator=torch.Generator().manual_seed(student.seed))
    return torch.stack([1 - p, p], 1)


def training(one, student, hooks, **named):
    recipe = replace(RECIPE, seed=student.seed, epochs=student.epochs)
    return one, range(student.rows), labels_of(student), student.loss, recipe, hooks


def noting(values):
    return Hooks(report=lambda step, steps, value, lr: values.append(value))


def go_together(trainings):
    """What each ends with: its result, or its error."""
    compute, ends = Gradients(), {}
    waiting = dict.fromkeys(range(len(trainings)))
    while True:
        steps = {}
        for i, value in waiting.items():
            try:
                steps[i] = trainings[i].throw(value) if isinstance(value, Exception) else trainings[i].send(value)
            except StopIteration as end:
                ends[i] = end.value
            except Exception as error:
                ends[i] = error
        if not steps:
            return ends
        answers = compute(list(steps.values()))
        assert math.isclose(sum(answer.share for answer in answers), 1)
        waiting = dict(zip(steps, (answer.value for answer in answers), strict=True))


def compared(base, students=STUDENTS, **how):
    """(losses, logits) of each student alone, and of all of them together."""
    found = []
    for joint in (False, True):
        values, learners = [[] for _ in students], [learner(base, student, **how) for student in students]
        words = [training(*three) for three in zip(learners, students, map(noting, values), strict=True)]
        if joint:
            go_together([train_in_steps(*one) for one in words])
        else:
            for one in words:
                train(*one)
        found.append((values, [predict(one, range(ROWS)) for one in learners]))
    return found


@pytest.mark.parametrize(
    ("build", "how"),
    [
        (tiny_llama, {"budget": 30}),
        (tiny_llama, {"packs": False, "checkpointing": True}),
        (tiny_gpt2, {}),
        (tiny_bert, {"budget": 40, "packs": False}),
    ],
)
def test_every_step_of_each_student_is_what_it_is_alone(bases, build, how):
    (alone, predicted), (together, joint) = compared(bases[build], **how)
    assert [len(values) for values in alone] == [2, 4, 2]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert max(abs(values[-1] - values[0]) for values in alone) > 1e-3
    for one, other in zip(predicted, joint, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_pairs_with_adapters_on_different_modules_too(bases):
    students = [Student(CrossEntropy(), 0, targets=("q_proj",)), Student(CrossEntropy(), 1, targets=("down_proj",))]
    (alone, _), (together, _) = compared(bases[tiny_llama], students, pairs=True)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@dataclass(frozen=True)
class Spoilt:
    """A loss that is no number from its second step on, or with `known` raises an error there."""

    error: bool
    uses_batch_statistic = False

    def __call__(self, logits, labels, progress):
        if progress and self.error:
            raise ValueError("a defect of this loss")
        return logits.sum(1) * (math.nan if progress else 1.0)


@pytest.mark.parametrize("error", [False, True])
def test_what_goes_wrong_with_one_touches_no_other(bases, error, caplog):
    students = [STUDENTS[0], Student(Spoilt(error), 1), STUDENTS[1]]
    values = [[] for _ in students]
    learners = [learner(bases[tiny_llama], student) for student in students]
    together = [
        train_in_steps(*training(*three)) for three in zip(learners, students, map(noting, values), strict=True)
    ]
    ends = go_together(together)
    assert (ends[0], ends[2]) == (2, 4)
    assert ("a defect of this loss" if error else "the loss became nan at step 2") in str(ends[1])
    assert len(values[1]) == 1
    assert ("each student computes alone" in caplog.text) == error
    for place in (0, 2):
        alone = []
        train(*training(learner(bases[tiny_llama], students[place]), students[place], noting(alone)))
        np.testing.assert_allclose(values[place], alone, atol=1e-5)


def test_students_that_run_out_of_memory_take_smaller_passes(bases, monkeypatch):
    students, seen = STUDENTS[:2], []
    learners = [learner(bases[tiny_llama], student) for student in students]
    states = Backbone.states

    def narrow(self, ids, mask, texts=None, *, last=False):
        if ids.numel() > 40 and torch.is_grad_enabled():
            raise torch.cuda.OutOfMemoryError("made up")
        seen.append(ids.numel())
        return states(self, ids, mask, texts, last=last)

    monkeypatch.setattr(Backbone, "states", narrow)
    values = [[] for _ in students]
    words = [training(*three) for three in zip(learners, students, map(noting, values), strict=True)]
    assert go_together([train_in_steps(*one) for one in words]) == {0: 2, 1: 4}
    monkeypatch.undo()
    assert 20 < max(seen) <= 40
    for student, found in zip(students, values, strict=True):
        alone = []
        train(*training(learner(bases[tiny_llama], student), student, noting(alone)))
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_students_of_a_model_that_adapts_more_than_texts_compute_alone(tmp_path, caplog):
    base, students = (load_backbone(tiny_deberta(tmp_path)), ("query_proj", "value_proj")), STUDENTS[:2]
    with pytest.raises(ModelError, match="embeddings of distances"):
        group([learner(base, student).model.backbone for student in students], Owners())
    (alone, _), (together, _) = compared(base, students)
    assert alone == together
    assert caplog.text.count("each student computes alone") == 1


def test_a_module_that_reads_what_is_no_position_of_the_pass_is_an_error():
    owners = Owners()
    module = GroupedLinear(nn.Linear(2, 2), [Product(0, torch.ones(1, 2), torch.ones(2, 1), 1.0)], owners)
    owners.put(torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert module(torch.ones(2, 3, 2)).shape == (2, 3, 2)
    assert module(torch.ones(6, 2)).shape == (6, 2)
    with pytest.raises(ModelError, match=r"read positions \[1, 6\] in a pass of \[2, 3\]"):
        module(torch.ones(1, 6, 2))


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2)])
def test_in_the_last_block_the_tokens_that_are_read_have_owners_too(shape):
    """Whatever shape a module gives them: a router of experts has them without the row."""
    owners = Owners()
    module = GroupedLinear(nn.Linear(2, 2), [Product(1, torch.ones(1, 2), torch.ones(2, 1), 1.0)], owners)
    owners.put(torch.tensor([[0, 0, 0, 1, 1]]), torch.tensor([2, 4]))
    states = torch.ones(shape)
    added = (module(states) - module.base(states)).detach().view(2, 2)
    assert added.tolist() == [[0.0, 0.0], [2.0, 2.0]]
    assert module(torch.ones(1, 5, 2)).shape == (1, 5, 2)


def test_the_scale_of_an_adapter_is_not_rounded_to_16_bits():
    """10/3 is 3.328 in bf16: .0016 off, in every product alike."""
    owners, up = Owners(), torch.linspace(0.5, 1.5, 4096)[:, None]
    module = GroupedLinear(nn.Linear(1, 4096), [Product(0, torch.ones(1, 1), up, 10 / 3)], owners)
    nn.init.zeros_(module.base.weight)
    nn.init.zeros_(module.base.bias)
    owners.put(torch.tensor([[0]]))
    with torch.autocast("cpu", torch.bfloat16):
        found = module(torch.ones(1, 1, 1)).float().detach()
    assert abs(float((found / (up.T * 10 / 3)).mean()) - 1) < 3e-4


@pytest.mark.parametrize("place", [0, 1])
def test_common_passes_are_checkpointed_where_those_of_one_student_are(bases, place):
    learners = [learner(bases[tiny_llama], one, checkpointing=i == place) for i, one in enumerate(STUDENTS[:2])]
    assert is_checkpointed(CommonPasses(learners).backbone.blocks)
    assert not is_checkpointed(CommonPasses([learner(bases[tiny_llama], one) for one in STUDENTS]).backbone.blocks)


def test_students_whose_common_passes_shrink_do_so_in_their_own_ones(bases):
    learners = [learner(bases[tiny_llama], one, budget=64 + i) for i, one in enumerate(STUDENTS)]
    common = CommonPasses(learners)
    common.shrink()
    assert [common.token_budget, *(one.token_budget for one in learners)] == [32, 32, 32, 33]


def asked(bases, students):
    """The first step of each."""
    learners = [learner(bases[tiny_llama], student) for student in students]
    return [next(train_in_steps(*training(*two, Hooks()))) for two in zip(learners, students, strict=True)]


def test_what_is_of_no_use_any_more_is_let_go(bases):
    compute, steps = Gradients(), asked(bases, STUDENTS[:2])
    compute(steps)
    assert compute.group is not None
    compute(steps[:1])
    assert compute.group is None
    steps = asked(bases, [STUDENTS[0], Student(Spoilt(error=True), 1)])
    bad = replace(steps[1], progress=0.5)
    answers = compute([steps[0], bad])
    assert compute.group is None
    assert isinstance(answers[0].value, float)
    error = answers[1].value
    assert isinstance(error, ValueError)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
    assert len(frames) > 2
    assert not any(frames)


def test_after_a_pass_that_broke_the_gpu_nobody_computes_alone(bases, monkeypatch):
    """As found late: by whoever reads the numbers."""
    steps = asked(bases, STUDENTS[:2])

    def norm(grads):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.nn.utils, "get_total_norm", norm)
    answers = Gradients()(steps)
    assert all(isinstance(answer.value, float) for answer in answers)
    monkeypatch.setattr("w2s_sweep.training.together.is_lost", lambda: True)
    with pytest.raises(DeviceLost):
        Gradients()(steps)
    (answer,) = Gradients()([replace(asked(bases, [Student(Spoilt(error=True), 0)])[0], progress=0.5)])
    assert isinstance(answer.value, ValueError)  # nobody else can have done it
