"""Choices are put together from each alone only where none has to do with another; parts are shared by cells."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.launch.parts import Base, Parts, plain_part

PLAIN = {"loss": {"name": "xent"}, "finetune": {"name": "probe", "lr": 0.1}, "seed": 0}
LORA = {"finetune": {"name": "lora", "lr": 0.2}}
WINDOW = {"loss": {"name": "window", "width": 3}}


def base(**change):
    config = OmegaConf.create(PLAIN | change)
    OmegaConf.set_struct(config, True)
    return Base(config)


def cell(of, *lines):
    return Parts().cell(of, OverridesParser.create().parse_overrides(list(lines)))


def test_what_two_choices_change_is_put_together():
    made = base().join({"loss": base(**WINDOW), "finetune": base(**LORA, tests=["d"])})
    assert made is not None
    assert cell(made) == PLAIN | WINDOW | LORA | {"tests": ["d"]}
    assert cell(made, "loss.width=4")["loss"] == {"name": "window", "width": 4}


@pytest.mark.parametrize(
    "others",
    [
        pytest.param({"loss": base(**WINDOW, **LORA), "finetune": base(**LORA)}, id="both change one setting"),
        pytest.param({"loss": base(**WINDOW, **LORA), "finetune": base()}, id="one changes what another one chooses"),
        pytest.param({"experiment": base(**LORA), "loss": base(**WINDOW)}, id="one is of no setting"),
        pytest.param({"loss": base(loss="${seed}"), "finetune": base(**LORA)}, id="one depends on another setting"),
        pytest.param({"loss": base(loss="${hydra:job.id}"), "finetune": base(**LORA)}, id="one depends on hydra"),
    ],
)
def test_choices_that_have_to_do_with_each_other_are_left_to_hydra(others):
    assert base().join(others) is None


def test_cells_share_what_they_say_alike_of_any_base():
    parts, bases = Parts(), (base(), base(), base(**WINDOW))
    parsed = [OverridesParser.create().parse_overrides([f"seed={seed}"]) for seed in (1, 1, 2)]
    first, same, other = (parts.cell(one, lines) for one, lines in zip(bases, parsed, strict=True))
    assert (first["seed"], same["seed"], other["seed"]) == (1, 1, 2)
    assert first["finetune"] is same["finetune"] is other["finetune"]
    assert other["loss"] == WINDOW["loss"] != first["loss"]


@pytest.mark.parametrize("line", ["seed.x=1", "loss.nosuch=1", "nosuch=1", "+seed=1"])
def test_what_hydra_refuses_is_refused(line):
    with pytest.raises((HydraException, OmegaConfBaseException)):
        cell(base(), line)


@pytest.mark.parametrize("value", ["???", None, [1, {"a": "b"}], {"a": {"b": 1}}, "text"])
def test_a_part_is_plain(value):
    assert plain_part(OmegaConf.create({"x": value}), "x") == value
