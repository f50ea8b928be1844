"""The stand-in does what a real SLURM does, in all that the launcher relies on."""

import pytest

from tests.launch.slurm.contract import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_stand_in(check, cluster, tmp_path):
    cluster.controller.eager = True
    check(tmp_path)
