"""What a stage says of its speed: tokens per second, and the share of what its device can compute (MFU)."""

from dataclasses import dataclass, replace

import torch

from w2s_sweep.config.finetune import Precision
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.activations import Way
from w2s_sweep.kinds.base import Json
from w2s_sweep.kinds.shape import Shape, parse_shape
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import name_of, products
from w2s_sweep.models.peaks import peak_of
from w2s_sweep.models.ranks import this_process
from w2s_sweep.models.throughput import Throughput
from w2s_sweep.runner.context import Context
from w2s_sweep.sources.weights import read_config

PASSES: dict[Way, tuple[int, int]] = {"forward": (1, 1), "lora": (2, 3), "full": (3, 3)}
"""How often the products with weights, and those within attention, are computed by way: a backward pass needs the
slopes of both factors, of frozen weights those of their inputs alone. What checkpointing computes again counts once."""


def flops(shape: Shape, read: Throughput, way: Way, *, causal: bool, skips: bool = False) -> float:
    """FLOPs, 2 a multiply-add, of blocks that have read this: their weights, and attention within each text. `skips`:
    the last feed-forward layer is computed for a token a text (`models/last_block.py`).

    Left out are heads, unembeddings and adapters, so that the share of a peak comes out a little low.
    """
    weights, attention = PASSES[way]
    within = (2 if causal else 4) * shape.queries * read.squares
    products = shape.layers * shape.matrices * read.tokens
    if skips:
        products -= shape.feed_forward * (read.tokens - read.texts)
    return weights * 2 * products + shape.layers * attention * within


@dataclass(frozen=True)
class Peak:
    """What devices can compute at most."""

    rate: float | None
    """FLOP/s; None where it is not known."""
    reason: str = ""
    """Why not."""


def peak(device: torch.device, precision: Precision) -> Peak:
    """Of the devices of this stage together, for the products that it computes."""
    if device.type != "cuda":
        return Peak(None, f"no peak is known of the device {device.type}")
    name, kind = name_of(device), products(device, precision)
    rate = peak_of(name, kind)
    if rate is None:
        return Peak(None, f"no {kind} peak is known of {name}: models/peaks.py")
    return Peak(rate * this_process().size)


def speed(
    context: Context[Kind],
    backbone: Backbone,
    read: Throughput,
    way: Way,
    precision: Precision,
    layers: int | None = None,
    *,
    last: bool = False,
) -> dict[str, Json]:
    """For a stage's summary: of the tokens that this process, or all ranks together, read in its last run.

    `layers`: blocks that ran; None is all. `last`: nothing but the state of each text's last token was asked for.
    """
    if not read.seconds:
        return {}
    shape = parse_shape(read_config(backbone.folder), context.stage.hints.of_model)
    shape = shape if layers is None else replace(shape, layers=layers)
    skips = last and backbone.skips and layers in (None, backbone.layers)
    needed = flops(shape, read, way, causal=backbone.is_decoder, skips=skips)
    most = peak(backbone.device, precision)
    said: dict[str, Json] = {"tokens per second": read.tokens / read.seconds, "FLOP per second": needed / read.seconds}
    if most.rate is None:
        return said | {"MFU": None, "MFU unknown": most.reason}
    return said | {"MFU": needed / read.seconds / most.rate}
