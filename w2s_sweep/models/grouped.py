"""One pass of a frozen transformer for rows of several students: each row meets the adapters of its own student alone.

Exact but for rounding: what belongs to other students is multiplied by zero. The products of all students with a module
are two of matrices, however many students there are; their cost grows with the sum of the ranks, which are small beside
the width of the module.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.checkpointing import is_checkpointed
from w2s_sweep.models.lora import lora_layers, remove_lora


def twin(backbone: Backbone) -> Backbone:
    """The same backbone in modules of its own, whose weights are the very same tensors: adapters that are put on the
    one are not on the other."""
    shared: dict[int, Any] = {id(one): one for one in chain(backbone.module.parameters(), backbone.module.buffers())}
    return replace(backbone, module=copy.deepcopy(backbone.module, shared))


@dataclass(frozen=True)
class Product:
    """What an adapter adds to a module: scale * up (down x)."""

    student: int
    down: Tensor
    """[rank, inputs]"""
    up: Tensor
    """[outputs, rank]"""
    scale: float


class Owners:
    """Whose the positions of the pass that is computed now are. A plain attribute: a block that is computed again in
    the backward pass, in another thread, still belongs to this pass."""

    def __init__(self) -> None:
        self.of = self.of_read = torch.zeros(0)

    def put(self, of: Tensor, read: Tensor | None = None) -> None:
        """int64 [batch, tokens]: the student of each position of the pass to come. `read`, of one row: the positions
        that all of the last block reads."""
        self.of = of
        self.of_read = of if read is None else of[:, read]


class GroupedLinear(nn.Module):
    """A linear module with the adapters of several students."""

    def __init__(self, base: nn.Module, products: Sequence[Product], owners: Owners):
        super().__init__()
        self.base, self.owners = base, owners
        self.products = tuple(products)
        device = products[0].down.device
        ranks = torch.tensor([len(product.down) for product in products])
        self.student = torch.tensor([product.student for product in products]).repeat_interleave(ranks).to(device)
        """int64 [sum of ranks]: whose each row of the adapters is."""

    def forward(self, states: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        down = torch.cat([product.down for product in self.products])
        # The scale here, where numbers have 32 bits: it may be one that 16 bits round.
        up = torch.cat([product.up * product.scale for product in self.products], dim=1)
        inner = linear(states.to(down.dtype), down)
        found = self.base(states)
        return found + linear(inner * self._own(inner), up).to(found.dtype)

    def _own(self, inner: Tensor) -> Tensor:
        """1 where a position meets its own student, else 0."""
        read = inner.shape[:-1]
        # Where both are as many they are the same: each text has one token then.
        owners = self.owners.of_read if self.owners.of_read.numel() == read.numel() else self.owners.of
        if owners.shape != read and (len(read) > 1 or owners.numel() != read.numel()):
            raise ModelError(
                f"cotrain: a module read positions {list(read)} in a pass of {list(owners.shape)}, so its rows cannot "
                "be told apart. Set cotrain=1, or other model.lora_targets."
            )
        return (owners.reshape(*read, 1) == self.student).to(inner.dtype)


def group(backbones: Sequence[Backbone], owners: Owners) -> Backbone:
    """The transformer that twins of one backbone share, with the adapters that each of them has, in their order; its
    blocks are checkpointed where those of any of them are.

    ModelError where its adapted modules also read what is no position of a text.
    """
    if getattr(backbones[0].module.config, "relative_attention", False):
        # DeBERTa's attention gives embeddings of distances to the modules of queries and keys, as many as it likes.
        raise ModelError(
            "cotrain: the attention of this model reads embeddings of distances, which are no student's own. Set "
            "cotrain=1."
        )
    found = twin(next((one for one in backbones if is_checkpointed(one.blocks)), backbones[0]))
    remove_lora(found.module)
    products: dict[str, list[Product]] = {}
    for student, backbone in enumerate(backbones):
        for name, layer in lora_layers(backbone.module).items():
            products.setdefault(name, []).append(Product(student, *layer))
    for name, added in products.items():
        parent, _, last = name.rpartition(".")
        base = found.module.get_submodule(name)
        setattr(found.module.get_submodule(parent), last, GroupedLinear(base, added, owners))
    return found
