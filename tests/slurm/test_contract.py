"""A real SLURM does what the stand-in of the fast tests does, in all that the launcher relies on."""

import pytest

from tests.launch.slurm.contract import CHECKS


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    yield
    slurm.run("scancel", "--quiet", "--me")
    slurm.wait_idle()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_real_slurm(check, tmp_path):
    check(tmp_path)
