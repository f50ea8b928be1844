"""The table of several GPUs: the sizes that people ask about."""

import pytest

from benchmarks.memory import shared, ways
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.kinds.shape import guess_shape

SEVEN = (7_070_619_136, 28, 3584)
THIRTY_TWO = (31_984_210_944, 64, 5120)
SEVENTY = (69_503_033_344, 80, 8192)
GB = 1e9


@pytest.mark.parametrize(
    ("size", "way", "gpu", "gpus"),
    [
        (SEVEN, "full", 80 * GB, 2),
        (THIRTY_TWO, "lora", 80 * GB, 1),
        (SEVENTY, "lora", 85 * GB, 2),  # what is sold as 80 GB
        (SEVENTY, "lora", 80 * GB, 4),
        (SEVENTY, "full", 80 * GB, 0),
    ],
)
def test_how_many_gpus_hold_a_model(size, way, gpu, gpus):
    params, layers, hidden = size
    model = Model(name="m", source=LocalSource(path="m"), params=params, layers=layers, hidden=hidden)
    _, lora, full = ways(guess_shape(model), ("q_proj", "v_proj"))
    assert shared(lora if way == "lora" else full, gpu)[0] == gpus
