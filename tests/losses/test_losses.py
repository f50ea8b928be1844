"""The contract of every loss: shapes, finite values and gradients at the extremes, correct gradients, no order."""

import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError, jaxtyped
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from w2s_sweep import losses as room
from w2s_sweep.losses import LOSSES, AnyLoss, Loss, loss_from_plain, loss_settings, shapes
from w2s_sweep.losses.confidence import Entropy
from w2s_sweep.losses.conflict import Conflict
from w2s_sweep.losses.divergence import FDivergence
from w2s_sweep.losses.noisy_labels import Bootstrap
from w2s_sweep.losses.window import Window

CONF = Path(__file__).parents[2] / "conf" / "loss"
DIVERGENCES = ("js", "jeffreys", "hellinger", "chi_squared", "tv")
VARIANTS: list[Loss] = [
    *(cls() for _, cls in LOSSES.items()),  # pyright: ignore[reportCallIssue]
    *(FDivergence(divergence=name) for name in DIVERGENCES),
    Entropy(stop_gradient=False),
    Window(radius="median"),
    Bootstrap(target="soft"),
]
CLASSES = (2, 3, 5)
PROGRESS = (0.0, 0.05, 0.5, 0.999)

each_loss = pytest.mark.parametrize("loss", VARIANTS, ids=repr)
each_k = pytest.mark.parametrize("classes", CLASSES)


@pytest.fixture(scope="module", autouse=True)
def _shape_names():
    """The modules import the names of shapes for type checkers only; shape checks need them at run time."""
    for info in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        module = importlib.import_module(info.name)
        if module is not shapes:
            vars(module).setdefault("Scores", shapes.Scores)
            vars(module).setdefault("PerExample", shapes.PerExample)


def batch(size: int, classes: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(size, classes, generator=rng, dtype=torch.float64)
    labels = (2 * torch.randn(size, classes, generator=rng, dtype=torch.float64)).softmax(-1)
    return logits.to(dtype), labels.to(dtype)


@cache
def shape_checked(kind: type[Loss]) -> Callable[..., Tensor]:
    return jaxtyped(typechecker=beartype)(kind.__call__)


def checked(loss: Loss, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
    return shape_checked(type(loss))(loss, logits, labels, progress)


@each_loss
def test_one_finite_float_per_example(loss: Loss):
    for classes, size, progress in product(CLASSES, (1, 2, 7, 32), PROGRESS):
        value = checked(loss, *batch(size, classes), progress)
        fine = value.shape == (size,) and value.dtype == torch.float32 and value.isfinite().all()
        assert fine, f"{classes} classes, {size} rows, progress {progress}: {value}"


@each_loss
def test_labels_of_another_shape_are_noticed(loss: Loss):
    logits, labels = batch(4, 2)
    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        checked(loss, logits, labels[:3], 0.5)


@each_loss
@pytest.mark.parametrize("scale", [0.0, 1e-3, 50.0, 1e4])
def test_extreme_logits_and_hard_labels_give_finite_values_and_gradients(loss: Loss, scale: float):
    """All pairs of a certain student and a certain supervisor, agreeing or with disjoint supports, and ties."""
    for classes, dtype, progress in product(CLASSES, (torch.float32, torch.bfloat16), PROGRESS):
        eye = torch.eye(classes)
        logits = (scale * (2 * eye - 1)).repeat_interleave(classes, 0).repeat(2, 1).to(dtype).requires_grad_()
        labels = eye.repeat(classes, 1)
        value = loss(logits, torch.cat([labels, torch.full_like(labels, 1 / classes)]), progress)
        (slope,) = torch.autograd.grad(value.sum(), logits)
        fine = value.dtype == torch.float32 and value.isfinite().all() and slope.isfinite().all()
        assert fine, f"{classes} classes, {dtype}, progress {progress}: {value}, {slope}"


def _has_smooth_constant_target(loss: Loss) -> bool:
    """Holding such a target constant changes the gradient; hardened targets and windows are piecewise constant."""
    return loss.name in ("product", "adaptive_confidence") or (isinstance(loss, Entropy) and loss.stop_gradient)


@pytest.mark.parametrize("loss", [loss for loss in VARIANTS if not _has_smooth_constant_target(loss)], ids=repr)
@each_k
def test_gradients_are_those_of_the_values(loss: Loss, classes: int):
    """For the others, the gradient is written out in test_losses_reference.py."""
    logits, labels = batch(6, classes, seed=3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, 0.5), (logits.requires_grad_(),))


@each_loss
@each_k
def test_the_order_of_the_batch_does_not_matter(loss: Loss, classes: int):
    logits, labels = batch(12, classes, seed=1)
    logits[3:6], labels[3:6] = logits[2], labels[2]  # ties, at the threshold or not
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    value = loss(logits, labels, 0.5)
    assert torch.allclose(loss(logits[order], labels[order], 0.5), value[order], atol=1e-6)
    assert torch.allclose(value[2:6], value[2].expand(4), atol=1e-6)


@each_loss
def test_micro_batches_may_be_used_exactly_where_the_loss_says_so(loss: Loss):
    logits, labels = batch(12, 2, seed=2)
    whole = loss(logits, labels, 0.9)
    parts = torch.cat([loss(logits[i : i + 3], labels[i : i + 3], 0.9) for i in range(0, 12, 3)])
    if not loss.uses_batch_statistic:
        # Not bit for bit: what fills no whole vector of the CPU goes through scalar code, which rounds differently.
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    elif loss != Window():
        assert not torch.allclose(whole, parts, rtol=1e-3)


@each_loss
def test_a_loss_remembers_no_batch(loss: Loss):
    """A buffer of earlier batches, or of those that were only evaluated, would move thresholds and grow."""
    logits, labels = batch(8, 2)
    value, state = loss(logits, labels, 0.9), pickle.dumps(loss)
    for seed in range(1, 5):
        others, taught = batch(8, 2, seed=seed)
        loss(others + torch.tensor([0.0, 5.0]), taught, 0.9)  # far from those of the first batch
    assert torch.equal(loss(logits, labels, 0.9), value)
    assert pickle.dumps(loss) == state


@each_loss
def test_labels_are_never_changed(loss: Loss):
    logits, labels = batch(5, 2)
    before = logits.clone(), labels.clone()
    loss(logits, labels, 0.7)
    assert torch.equal(logits, before[0])
    assert torch.equal(labels, before[1])


def test_every_module_of_the_folder_is_found_by_itself():
    """A new loss is a file: nothing lists it."""
    classes = [cls for _, cls in LOSSES.items()]
    assert len(classes) >= 15
    assert all(cls().name == name for name, cls in LOSSES.items())  # pyright: ignore[reportCallIssue]
    assert Conflict not in classes, "it needs the truth of every row: no choice"


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_has_a_commented_file_that_spells_out_the_defaults(name: str):
    text = (CONF / f"{name}.yaml").read_text()
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert all("  # " in line for line in lines[1:])
    loss = TypeAdapter(AnyLoss).validate_json(json.dumps(yaml.safe_load(text)))
    assert loss == LOSSES[name]()  # pyright: ignore[reportCallIssue]
    assert set(yaml.safe_load(text)) == {field.name for field in fields(loss)}


def test_there_are_no_other_files():
    assert {path.stem for path in CONF.iterdir()} == {*LOSSES, "confidence_paper"}  # other settings of a loss


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "logconf"},
        {"name": "confidence", "max_weight": 1.5},
        {"name": "confidence", "warmup": -0.1},
        {"name": "window", "radius": 0.0},
        {"name": "window", "radius": "mean"},
        {"name": "gce", "q": 0.0},
        {"name": "product", "weak_power": 0.0},
        {"name": "f_divergence", "divergence": "kl"},
        {"name": "xent", "smoothing": 0.1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyLoss).validate_json(json.dumps(wrong))


@each_loss
def test_losses_survive_json_and_are_frozen(loss: Loss):
    assert loss_from_plain(loss_settings(loss)) == loss
    with pytest.raises(AttributeError):
        loss.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
    assert replace(loss) == loss


def test_the_schema_of_the_losses_does_not_load_torch():
    code = "import sys, w2s_sweep.losses; sys.exit(bool({'torch', 'numpy', 'jaxtyping'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONF.parents[1], check=False).returncode == 0
