"""The same trainings in one process and in groups of processes that share the model: what each of them gives.

The processes are forked from one that has imported everything, so a group costs no more than its trainings.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import peft  # noqa: F401 - what the processes would import each for itself
import torch
import torch.distributed.fsdp
import torch.distributed.tensor

from w2s_sweep.errors import ModelError
from w2s_sweep.losses import LOSSES, Loss
from w2s_sweep.losses.confidence import ConfidenceReleased
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.decode import greedy, sample
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, save_trained
from w2s_sweep.models.ranks import meet, this_process
from w2s_sweep.models.reward import LanguageScore
from w2s_sweep.stages.finetune import PairLearner, TextLearner
from w2s_sweep.training.likelihood import NegativeLogLikelihood, SequenceLearner
from w2s_sweep.training.loop import Hooks, Recipe, predict, train
from w2s_sweep.training.stopping import Best

ROWS = 14
RECIPE = Recipe(batch_size=7, epochs=1, lr=1e-2, seed=5, grad_clip=1.0)
ALL = [cls() for _, cls in LOSSES.items()]  # pyright: ignore[reportCallIssue]
"""Every registered loss, with its defaults."""
Numbers = dict[str, list[float]]


def texts(count: int = ROWS, seed: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(3, 200, size=draw.integers(2, 14)).tolist() for _ in range(count)]


def labels() -> torch.Tensor:
    first = torch.rand(ROWS, generator=torch.Generator().manual_seed(1))
    return torch.stack([1 - first, first], 1)


def adapt(model: Any, way: str) -> None:
    if way == "lora":
        add_lora(model, rank=2, alpha=8.0, targets=["q_proj", "down_proj"], seed=3)


def classifier(folder: Path, way: str, budget: int) -> TextLearner:
    model = Classifier(load_backbone(folder))
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    adapt(model, way)
    return TextLearner(model, texts(), "fp32", budget)


def steps(
    learner: Any, loss: Loss, targets: torch.Tensor, hooks: dict[str, Any] | None = None, rows: int = ROWS
) -> list[float]:
    """The loss of each step and then the logits of a few rows."""
    found: list[float] = []
    report = {"report": lambda step, steps, value, lr: found.append(value)}
    train(learner, range(rows), targets, loss, RECIPE, Hooks(**(report | (hooks or {}))))
    learner.mode(training=False)
    return found + predict(learner, range(5)).flatten().tolist()


def few_losses(folder: Path) -> Numbers:
    """As `each_loss`, of one that is a mean over rows and of one with a statistic of its batch."""
    return each_loss(folder, [CrossEntropy(), ConfidenceReleased()])


def each_loss(folder: Path, losses: Sequence[Loss] = ALL) -> Numbers:
    """Both ways, one step and what is predicted after it, in several forward passes where a loss needs the batch whole.
    One model goes back to its first weights for each of them."""
    found: Numbers = {}
    for way in ("full", "lora"):
        learner = classifier(folder, way, 40)
        first = {name: value.detach().clone() for name, value in learner.trainable().items()}
        for loss in losses:
            Best(params=first).put_into(learner.trainable())
            learner.token_budget = 16 if loss.uses_batch_statistic else 1000
            learner.mode(training=True)
            found[f"{way} {loss.name}"] = steps(learner, loss, labels(), rows=7)
    return found


def other_learners(folder: Path) -> Numbers:
    """Pairs by a head and by likelihood, texts to continue, what is then written, checkpointed blocks."""
    found: Numbers = {}
    for way in ("full", "lora"):
        pairs = Classifier(load_backbone(folder), classes=1)
        adapt(pairs, way)
        found[f"{way} pairs"] = steps(PairLearner(pairs, texts(2 * ROWS), "fp32", 60), CrossEntropy(), labels())
        score = LanguageScore(load_backbone(folder), beta=0.1, frozen=way == "lora")
        adapt(score, way)
        found[f"{way} implicit"] = steps(PairLearner(score, texts(2 * ROWS), "fp32", 60), CrossEntropy(), labels())
        backbone = load_backbone(folder)
        checkpoint_blocks(backbone.blocks)
        model = LanguageModel(backbone, frozen=way == "lora")
        adapt(model, way)
        learner = SequenceLearner(model, texts(), [1] * ROWS, "fp32", 60)
        found[f"{way} likelihood"] = steps(learner, NegativeLogLikelihood(), torch.ones(ROWS, 1))
        written = greedy(model.eval(), texts(5), most=4, end=1, precision="fp32", token_budget=20)
        found[f"{way} written"] = [float(token) for text in written for token in text]
        cold: dict[str, Any] = {"count": 2, "temperature": 0.1, "seed": 0, "most": 4, "end": 1, "precision": "fp32"}
        drawn = sample(model, texts(5), [*"abcde"], **cold)
        found[f"{way} drawn"] = [float(token) for samples in drawn for text in samples for token in text]
    return found


def refused(folder: Path) -> Numbers:
    """How many processes say that a model does not use what it keeps of a text."""
    model, ranks = LanguageModel(load_backbone(folder)), this_process()
    learner = SequenceLearner(model, texts(), [1] * ROWS, "fp32", 60)
    how: dict[str, Any] = {"most": 4, "end": 1, "precision": "fp32"}
    transformer: Any = model.transformer
    plain = transformer.forward

    def forward(input_ids: torch.Tensor, **_: Any) -> Any:
        if len(input_ids) > 1:
            raise RuntimeError("sizes must match")  # as the first GPT says of texts of two lengths
        return plain(input_ids=input_ids)

    transformer.forward = forward
    said = 0
    try:
        greedy(learner.model.eval(), texts(5), **how)
    except ModelError as error:
        said += "does not continue a text with what it keeps" in str(error)
    return {"refused": ranks.total(said)}


def few_rows(folder: Path) -> Numbers:
    """Fewer rows in a batch, and fewer texts to write, than there are processes."""
    learner = classifier(folder, "full", 1000)
    one = Recipe(batch_size=1, epochs=1, lr=1e-2, seed=5)
    found: list[float] = []
    hooks = Hooks(report=lambda step, steps, value, lr: found.append(value))
    train(learner, range(3), labels(), CrossEntropy(), one, hooks)
    return {"few": found + predict(learner, [3]).flatten().tolist()}


def halfway(folder: Path, checkpoint: Path) -> Numbers:
    """Two steps of full fine-tuning, with a checkpoint after the first, or the second from that checkpoint."""
    began, done = list[int](), list[int]()
    hooks: dict[str, Any] = {
        "checkpoint": checkpoint,
        "resumed": began.append,
        "due": lambda: not done and began == [0],
        "saved": done.append,
    }
    return {"steps": steps(classifier(folder, "full", 40), CrossEntropy(), labels(), hooks), "from": [float(began[0])]}


def saved(folder: Path, target: Path) -> Numbers:
    """The file of trained weights."""
    save_trained(classifier(folder, "lora", 40).model, target)
    return {}


def together(size: int, work: Callable[..., Numbers], *arguments: Path) -> Numbers:
    """What `work` gives to the first of `size` processes that share the model; in this one where it is alone."""
    if size == 1:
        return work(*arguments)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with TemporaryDirectory() as folder:
        answers = context.SimpleQueue()
        place = Path(folder) / "meeting"
        ranks = [context.Process(target=_join, args=(r, size, place, answers, work, arguments)) for r in range(size)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
        assert [rank.exitcode for rank in ranks] == [0] * size
        return answers.get()


def _join(rank: int, size: int, place: Path, answers: Any, work: Callable[..., Numbers], arguments: Any) -> None:
    torch.set_num_threads(1)
    with meet(rank, size, place):
        found = work(*arguments)
        if rank == 0:
            answers.put(found)
