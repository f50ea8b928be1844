"""What a model's files rule out is told before any job."""

import pytest

from tests.models.families import write_family
from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.opened import opened_by
from w2s_sweep.launch.prepare import require_blocks


@pytest.mark.parametrize("family", ["albert", "bert", "gpt2"])
def test_a_probe_needs_states_between_blocks(family, tmp_path):
    folder = write_family(family, tmp_path / family)

    def check(finetune):
        stages = [*merge([cell(finetune=finetune)], identify).stages.values()]
        require_blocks(stages, dict.fromkeys(opened_by(stages), folder))

    check(Full())
    if family != "albert":
        check(Probe())
        return
    with pytest.raises(ConfigError, match=r"finetune: s0 passes one block several times.*\n.*w0"):
        check(Probe())
