"""Decoding beside transformers' own `generate`: solutions to word problems, greedy and several samples each.

    python -m benchmarks.decoding --data FOLDER [--prompts 16] [--most 64] [--counts 0,4] [--blocks 30] [--repeats 3]
        [--out FILE.json]

FOLDER: copies of the hub's datasets, as for `make science`. Questions of GSM8K in the order of the test file, the whole
SmolLM2-135M in fp32. Loops, in turns, in one process:

- ours: rows of different lengths together, those that have ended leave, samples share their prompt's pass (here all
  rows at once: memory has room for them);
- equal lengths: only prompts of one length share a batch, until the last has ended (what models do that fail the check
  of `models/kept_texts.py`, and all did before it);
- generate: transformers, all prompts in one batch, padded on the left, `num_return_sequences` for samples.

With one thread (OMP_NUM_THREADS=1) seconds are those of the CPU. Tokens are those written, ends included; those of
samples differ between loops, since numbers are drawn in another way. Ratios are medians over the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmarks.card.decoding import LOOPS, Texts, Work, check_of, written
from benchmarks.loops import now
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.sources import fetch, identify
from w2s_sweep.training.answers import end_of


def read_work(data: Path, prompts: int, most: int, blocks: int) -> Work:
    """The first prompts, and the model twice."""
    cell, _ = composed_cell(["model@strong=smollm2_135m", "finetune=full"])
    folder = fetch(cell.strong.source, identify(cell.strong.source, "model"), "model")
    backbone = load_backbone(folder, keep_layers=blocks)
    lines = (data / "gsm8k" / "test.jsonl").read_text().splitlines()[:prompts]
    asked = backbone.tokens([f"Question: {json.loads(line)['question']}\nAnswer:" for line in lines], 640)
    theirs = AutoModelForCausalLM.from_pretrained(backbone.folder, dtype=torch.float32, num_hidden_layers=blocks)
    model = LanguageModel(backbone).eval()
    return Work(model, theirs.eval(), asked, most, end_of(backbone.tokenizer), check_of(model, "fp32"))


def compare(work: Work, count: int, repeats: int) -> dict[str, Any]:
    """Loop -> tokens/s of each repeat, how much faster ours is, and the share of texts that are as ours."""
    rates: dict[str, list[float]] = {name: [] for name in LOOPS}
    texts: dict[str, Texts] = {}
    for repeat in range(repeats):
        for name, loop in LOOPS.items():
            began = now()
            texts[name] = loop(work, count)
            rates[name].append(written(work, texts[name]) / (now() - began))
            print(f"# {repeat + 1}/{repeats} {name}: {rates[name][-1]:.1f} tokens/s", flush=True)
    return {
        name: {
            "tokens/s": statistics.median(rates[name]),
            "ours is faster by": statistics.median(a / b for a, b in zip(rates["ours"], rates[name], strict=True)),
            "repeats": rates[name],
            "ended": sum(len(text) < work.most for text in texts[name]) / len(texts[name]),
            "texts as ours": sum(a == b for a, b in zip(texts["ours"], texts[name], strict=True)) / len(texts[name]),
        }
        for name in LOOPS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--most", type=int, default=64)
    parser.add_argument("--counts", default="0,4", help="samples of each prompt; 0: the likeliest text (default: 0,4)")
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("decoding.json"))
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    work = read_work(args.data, args.prompts, args.most, args.blocks)
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "prompt tokens": [len(prompt) for prompt in work.prompts],
        "settings": {name: str(value) for name, value in vars(args).items()},
    }
    for count in map(int, args.counts.split(",")):
        name = f"{count} samples" if count else "greedy"
        load = os.getloadavg()[0]
        found[name] = compare(work, count, args.repeats) | {"load": [load, os.getloadavg()[0]]}
        print(name, json.dumps(found[name], indent=1), flush=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
