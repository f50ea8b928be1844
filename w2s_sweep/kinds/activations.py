"""What autograd keeps of one block of a transformer.

The numbers are bytes for each unit of width and token, by family; they were counted with hooks on saved tensors
(transformers 5, sdpa), `tests/kinds/test_memory.py` counts them again.
"""

from collections.abc import Mapping
from typing import Literal

from w2s_sweep.config.finetune import Precision
from w2s_sweep.kinds.shape import Shape

Way = Literal["full", "lora", "forward"]
"""What becomes of the weights: all train, adapters on frozen ones do, none does."""

Widths = tuple[float, float, float, float]
"""Bytes for each unit of `hidden`, `queries`, `keys` and `inner`."""

AUTOCAST: Mapping[str, Widths] = {
    "llama": (26, 4, 4, 8),
    "qwen3": (26, 10, 10, 8),
    "olmo2": (26, 12, 12, 8),
    "gemma3_text": (42, 12, 12, 8),
    "gpt2": (20, 0, 0, 4),
    "gpt_neox": (22, 0, 0, 4),
    "bert": (24, 0, 0, 4),
}
"""Weights in 32 bits that train, products in 16."""
HALF: Mapping[str, Widths] = {
    "llama": (12, 4, 4, 6),
    "qwen3": (13, 8, 8, 6),
    "olmo2": (12, 8, 8, 6),
    "gemma3_text": (20, 8, 8, 6),
    "gpt2": (14, 0, 0, 2),
    "gpt_neox": (16, 0, 0, 2),
    "bert": (16, 0, 0, 2),
}
"""Frozen weights in 16 bits below adapters."""
SINGLE: Mapping[str, Widths] = {
    "llama": (24, 8, 8, 16),
    "qwen3": (24, 16, 16, 16),
    "olmo2": (24, 16, 16, 16),
    "gemma3_text": (40, 16, 16, 16),
    "gpt2": (32, 0, 0, 8),
    "gpt_neox": (40, 0, 0, 8),
    "bert": (32, 0, 0, 8),
}
"""Everything in 32 bits."""
HEAD = 4
"""Bytes of each head: the logarithm of its normaliser."""
SKIPPING = ("llama", "qwen3", "olmo2", "gemma3_text", "gpt2", "gpt_neox")
"""Families whose blocks have a feed-forward layer of one module."""
COLUMNS = {"qwen2": "llama", "mistral": "llama", "phi3": "llama", "gemma3": "gemma3_text", "roberta": "bert"}


def of_block(shape: Shape, way: Way, precision: Precision) -> float:
    """Bytes that autograd keeps of one block for each token."""
    a, b, c, d = _widths(shape, way, precision)
    return a * shape.hidden + b * shape.queries + c * shape.keys + d * shape.inner + HEAD * shape.heads


def _widths(shape: Shape, way: Way, precision: Precision) -> Widths:
    table = SINGLE if precision == "fp32" else HALF if way == "lora" else AUTOCAST
    name = COLUMNS.get(shape.family, shape.family)
    return table.get(name, table["llama" if shape.gated else "gpt2"])


def skipped(shape: Shape, way: Way, precision: Precision) -> float:
    """Bytes for each token that the last block does not keep where only the last token of a text is read
    (`models/last_block.py`); what goes into its feed-forward layer is not counted."""
    known = COLUMNS.get(shape.family, shape.family) in SKIPPING
    return _widths(shape, way, precision)[3] * shape.inner if known else 0.0
