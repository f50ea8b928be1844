"""Processes that compute one stage together, each with its share of the weights (FSDP2) and of every batch.

All of them run the same code on the same rows, and each has all logits, so whatever is decided from numbers is decided
alike. A process that computes alone is rank 0 of 1, for which everything here does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor

PATIENCE = timedelta(hours=1)
"""How long one waits for another: rank 0 writes checkpoints meanwhile, and each loads its model in turn."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that compute with it."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @cached_property
    def mesh(self) -> DeviceMesh:
        from torch.distributed.device_mesh import init_device_mesh

        return init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (self.size,))

    def agree(self, flag: bool) -> bool:
        """What rank 0 says; every rank has to ask."""
        if self.size == 1:
            return flag
        said = torch.tensor([int(flag)])
        dist.broadcast(said, src=0)
        return bool(said.item())

    def all_of(self, flag: bool) -> bool:
        """Whether every rank says so; every rank has to ask."""
        if self.size == 1:
            return flag
        said = torch.tensor([int(flag)])
        dist.all_reduce(said, op=dist.ReduceOp.MIN)
        return bool(said.item())

    def most(self, value: float) -> float:
        """The largest that any rank has; every rank has to ask."""
        if self.size == 1:
            return value
        said = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return float(said.item())

    def total(self, *values: float) -> list[float]:
        """The sum over all ranks of each number; every rank has to ask."""
        if self.size == 1:
            return list(values)
        said = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(said)
        return said.tolist()

    def exchange(self, own: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """What the first ranks have, of as many rows each as `counts` says, which no later one has; on the CPU.

        `own` [rows, width] is that of this rank, and every rank has to ask.
        """
        if self.size == 1:
            return [own]
        padded = own.new_zeros(max(counts), own.shape[1])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return [part[:count] for part, count in zip(parts, counts, strict=False)]

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            dist.all_reduce(torch.zeros(1))

    @contextmanager
    def in_turn(self) -> Generator[None]:
        """One rank after another: what is there for a moment, such as all weights on the host, is there once."""
        for _ in range(self.rank):
            self.wait()
        yield
        for _ in range(self.size - self.rank):
            self.wait()

    def shard(self, model: nn.Module, blocks: Sequence[nn.Module], device: torch.device, *, half: bool) -> None:
        """Move `model` to `device`: whole where it computes alone, else this rank's share of every parameter.

        A block is whole while it computes, what is outside of blocks always. `half`: products are in bf16, in which
        blocks then travel; gradients are summed in 32 bits.
        """
        if self.size == 1:
            model.to(device)
            return
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

        # Not left to autocast: the copies in bf16 that it makes of weights stay whole until the backward pass.
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        for block in blocks:
            fully_shard(block, mesh=self.mesh, mp_policy=policy)
        fully_shard(model, mesh=self.mesh, reshard_after_forward=False)
        if hasattr(model, "next_logits"):
            register_fsdp_forward_method(model, "next_logits")

    def settle(self, model: nn.Module) -> None:
        """After passes without gradients: each rank has its share alone again.

        A backward pass does this. Without it, what is outside of blocks would stay as it is whatever becomes of the
        parameters, such as when the best ones are put back.
        """
        if self.size > 1:
            sharded: Any = model
            sharded.reshard()

    def deal(self, rows: Sequence[int], tokens: Callable[[int], int]) -> list[list[int]]:
        """`rows` among the ranks: as many rows each, up to one, and about as many tokens."""
        order = sorted(rows, key=tokens, reverse=True)
        rounds = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        hands: list[list[int]] = [[] for _ in range(self.size)]
        for number, cards in enumerate(rounds):
            # There and back: who got the longest row of one round gets the shortest of the next.
            for place, row in enumerate(cards):
                hands[place if number % 2 == 0 else self.size - 1 - place].append(row)
        return hands

    def spread(
        self, rows: Sequence[int], tokens: Callable[[int], int], compute: Callable[[Sequence[int]], Tensor]
    ) -> Tensor:
        """[rows, ...] in the order of `rows`, each row computed by one of the ranks; gradients flow back to it."""
        if self.size == 1:
            return compute(rows)
        hands = self.deal(range(len(rows)), lambda i: tokens(rows[i]))
        # A rank without a row computes one for nothing: FSDP's ranks have to make the same passes.
        own = compute([rows[i] for i in hands[self.rank] or (0,)])
        most = max(map(len, hands))
        padded = torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])])
        every: Any = _Gather.apply(padded, self)
        places = {i: rank * most + place for rank, hand in enumerate(hands) for place, i in enumerate(hand)}
        index = torch.tensor([places[i] for i in range(len(rows))], device=own.device)
        return every.flatten(0, 1)[index]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        parts = [torch.empty_like(own) for _ in range(ranks.size)]
        dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        # Each rank has the loss of all rows, so its rows' slope is complete; FSDP takes the mean over ranks of what is
        # to be summed over them.
        return slopes[0][ctx.ranks.rank] * ctx.ranks.size, None


def this_process() -> Ranks:
    """Which of how many this process is."""
    return Ranks(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else Ranks()


@contextmanager
def meet(rank: int, size: int, place: Path) -> Generator[Ranks]:
    """Join the other ranks; `place`: a file on this machine that none has used before."""
    # Flags are on the CPU whatever computes, so that no rank waits for its GPU to read them.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, init_method=f"file://{place}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield this_process()
    finally:
        dist.destroy_process_group()


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process has a share of `tensor` alone."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which this rank has a share; every rank has to ask."""
    if not is_sharded(tensor):
        return tensor
    sharded: Any = tensor
    return sharded.full_tensor()


def as_shared(value: Tensor, like: Tensor) -> Tensor:
    """`value` on the device of `like`: whole, or where that is sharded this rank's share."""
    if not is_sharded(like):
        return value.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    there: DTensor | Any = like
    # Every rank has read the value, so nothing is sent.
    return distribute_tensor(value.to(like.device), there.device_mesh, there.placements, src_data_rank=None)
