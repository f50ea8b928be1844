"""What the models of conf/model need of a GPU, as it is planned before their files are there: a table in Markdown.

    python -m benchmarks.memory --gpu 80 > memory.md
    python -m benchmarks.memory --gpu 80 --several >> memory.md    # the fewest GPUs for what one does not hold

From published size, depth and width alone; a plan takes the widths out of config.json once that is on the machine.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import adapter
from w2s_sweep.kinds.forward import DEPTH
from w2s_sweep.kinds.memory import Memory, fewest, fit, running, training
from w2s_sweep.kinds.shape import Shape, guess_shape

CONF = Path(__file__).parents[1] / "conf"
LONGEST = 512
"""Tokens of the longest row."""


def models() -> Iterator[Model]:
    """The models of conf/model, the smallest first."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        names = [path.stem for path in (CONF / "model").glob("*.yaml") if path.name[0] != "_"]
        found = [_model(compose(overrides=[f"+model={name}"])) for name in names]
    yield from sorted(found, key=lambda model: model.params)


def _model(composed: DictConfig) -> Model:
    plain: Any = OmegaConf.to_container(composed)
    return adapter(Model).validate_json(json.dumps(plain["model"]))


def ways(shape: Shape, targets: tuple[str, ...]) -> Iterator[Memory]:
    """Frozen features of the default block, LoRA of rank 8, all weights."""
    yield running(shape.first(DEPTH), "bf16", LONGEST)
    yield training(shape, "bf16", LONGEST, adapters=(8, targets), stopping=False, last=True)
    yield training(shape, "bf16", LONGEST, adapters=None, stopping=False, last=True)


def cell(need: Memory, gpu: float) -> str:
    how = fit(need, gpu)
    if how is None:
        return f"no ({need.device(need.least, need.token_checkpointed is not None) / 1e9:.0f} GB)"
    mark = ", checkpointed" if how.checkpointing else ""
    return f"{how.device / 1e9:.0f} GB, {how.tokens:,}{mark}"


def shared(need: Memory, gpu: float) -> tuple[int, str]:
    """The fewest GPUs on which it fits, and what each of them holds."""
    gpus = fewest(need, gpu)
    found = cell(need.on(gpus), gpu)
    return (0, found) if found.startswith("no") else (gpus, f"{gpus} x {found}")


def several(gpu: float) -> Iterator[str]:
    """A line for each model that one GPU does not hold in every way."""
    yield "| model | LoRA | full |\n|---|---|---|"
    for model in models():
        _, *found = ways(guess_shape(model), model.lora_targets)
        columns = [shared(need, gpu) for need in found]
        if any(gpus != 1 for gpus, _ in columns):
            yield f"| {model.name} | {' | '.join(said for _, said in columns)} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gpu", type=float, default=80.0, help="GB of the GPU")
    arguments.add_argument("--several", action="store_true", help="1, 2, 4 or 8 of them for a stage")
    said = arguments.parse_args()
    gpu = said.gpu * 1e9
    if said.several:
        print("\n".join(several(gpu)))
        return
    print("| model | host memory | features | LoRA | full |\n|---|---|---|---|---|")
    for model in models():
        found = list(ways(guess_shape(model), model.lora_targets))
        columns = " | ".join(cell(need, gpu) for need in found)
        print(f"| {model.name} | {found[1].host / 1e9:.0f} GB | {columns} |")


if __name__ == "__main__":
    main()
