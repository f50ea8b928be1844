"""Training and forward speed beside other loops: every loop on the same rows, in turns, in one process.

    python -m benchmarks.training --data FOLDER [--tasks sst2,boolq] [--blocks 8] [--repeats 3] [--out FILE.json]

FOLDER: copies of the hub's datasets, as for `make science`. The model is the first blocks of SmolLM2-135M in fp32,
batches of 32 texts; all weights are trained, or adapters on all linear modules (lora), or texts are only read (forward,
features). With one thread (OMP_NUM_THREADS=1) seconds are those of the CPU, else what a machine does beside this slows
the loops: read the ratios, which are medians over the repeats. MFU: FLOPs of real tokens (matrices and causal
attention; those of adapters are left out) by those of a matrix product that is measured between the loops. First step:
from loading the model to its end; memory: the most beyond what the process had, so that of Linux alone.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from benchmarks.loops import BASE, BATCH, LOOPS, Work, now, read_work
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.device import forget_peak, peak_memory
from w2s_sweep.models.load import load_backbone

CPU = torch.device("cpu")
TRAINED = ("full", "lora")
"""Kinds of work with a backward pass."""


def flops(work: Work, backbone: Backbone, kind: str, *, packs: bool) -> float:
    """Of a real text in the mean, with 2 a multiply-add; a backward pass is twice a forward one, or as much of matrices
    that are frozen. `packs`: the last feed-forward layer is computed for a token a text."""
    lengths = [len(ids) for ids in work.tokens[BATCH:]]
    attention = 2 * backbone.layers * backbone.hidden * sum(n * n for n in lengths)
    products = 2 * _weights(backbone.module) * sum(lengths)
    if packs and backbone.skips:
        products -= 2 * _weights(backbone.blocks[-1].mlp) * (sum(lengths) - len(lengths))
    forward, backward = products + attention, 0
    if kind in TRAINED:
        backward = (1 if kind == "lora" else 2) * products + 2 * attention
    return (forward + backward) / len(lengths)


def _weights(module: Any) -> int:
    """Of linear layers."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


def product_rate(size: int = 1024, seconds: float = 0.5) -> float:
    """FLOP/s of the fastest of many square matrix products."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    end, best = now() + seconds, float("inf")
    while now() < end:
        began = now()
        a @ b
        best = min(best, now() - began)
    return 2 * size**3 / best


def forget_most() -> float:
    """GB that this process holds now, after what it can do without is gone; the most is counted anew (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak(CPU)
    return most_held()


def most_held() -> float:
    """GB: the most that this process held in memory since the last `forget_most`."""
    return peak_memory(CPU)["peak RSS GB"]


def measure(work: Work, repeats: int, kinds: Sequence[str], names: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Loop ("kind, name") -> its repeats: seconds, those from loading the model to the end of the first step, the most
    memory beyond what the process had, and the rate of matrix products just before."""
    loops = {f"{kind}, {name}": LOOPS[kind][name] for kind in kinds for name in LOOPS[kind] if name in names}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in loops}
    for repeat in range(repeats):
        for name, loop in loops.items():
            peak, before, began = product_rate(), forget_most(), now()
            ends = loop(work)
            one = {"seconds": ends[-1] - ends[0], "first": ends[0] - began, "memory GB": most_held() - before}
            found[name].append(one | {"peak": peak})
            print(f"# {work.task} {repeat + 1}/{repeats} {name}: {found[name][-1]['seconds']:.1f} s", flush=True)
    return found


def summarise(work: Work, found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Loop -> medians: examples/s, real tokens/s, MFU, its kind's packed loop's speed by its own in each round, and as
    in `measure` the seconds to the end of the first step and the most memory."""
    backbone = load_backbone(work.model, keep_layers=work.blocks)
    tokens = sum(map(len, work.tokens[BATCH:])) / work.measured
    out: dict[str, dict[str, float]] = {}
    for name, repeats in found.items():
        kind = name.partition(", ")[0]
        base = found[f"{kind}, {BASE}"]
        rates = [work.measured / one["seconds"] for one in repeats]
        needed = flops(work, backbone, kind, packs=name.partition(", ")[2].startswith("packed"))
        out[name] = {
            "examples/s": statistics.median(rates),
            "tokens/s": statistics.median(rates) * tokens,
            "MFU": statistics.median(r * needed / one["peak"] for r, one in zip(rates, repeats, strict=True)),
            "packed is faster by": statistics.median(
                one["seconds"] / other["seconds"] for one, other in zip(repeats, base, strict=True)
            ),
            "first step": statistics.median(one["first"] for one in repeats),
            "memory GB": statistics.median(one["memory GB"] for one in repeats),
        }
    return out


def print_table(work: Work, summary: dict[str, dict[str, float]]) -> None:
    lengths = [len(ids) for ids in work.tokens[BATCH:]]
    print(f"\n{work.task}: {work.measured} texts of {sum(lengths) / len(lengths):.0f} tokens, {work.blocks} blocks")
    print(f"{'loop':<22}{'examples/s':>11}{'tokens/s':>10}{'MFU':>6}{'faster by':>11}{'first step':>12}{'memory':>12}")
    for name, one in summary.items():
        speed, tokens, mfu, ratio, first, memory = one.values()
        print(f"{name:<22}{speed:11.2f}{tokens:10.0f}{mfu:6.0%}{ratio:10.2f}x{first:10.1f} s{memory:9.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="sst2,boolq")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(LOOPS), help="of: %(default)s")
    every = dict.fromkeys(name for loops in LOOPS.values() for name in loops)
    parser.add_argument("--loops", default=",".join(every), help=f"of: %(default)s; always {BASE}")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"))
    args = parser.parse_args()
    kinds, names = args.kinds.split(","), args.loops.split(",")
    if strange := [*({*kinds} - {*LOOPS}), *({*names} - {*every})]:
        parser.error(f"{', '.join(sorted(strange))}: no such kind or loop; {parser.prog} --help lists them")
    transformers.logging.set_verbosity_error()
    results: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "blocks": args.blocks,
    }
    for task in args.tasks.split(","):
        work = read_work(task, args.data, args.blocks)
        found = measure(work, args.repeats, kinds, [BASE, *names])
        summary = summarise(work, found)
        results[task] = {"summary": summary, "repeats": found}
        print_table(work, summary)
        args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
