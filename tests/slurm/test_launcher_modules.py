"""Modules of somebody's own in jobs of a real SLURM: they travel with the code, and editing them changes no job."""

import pytest

from tests.command import launch, sweep_record, trained
from tests.outside import chosen, forgotten, write_outside
from tests.slurm.launching import FAST, SMALL, job_logs, paused
from w2s_sweep.cli import main as w2s


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    with forgotten():
        yield


def test_jobs_run_the_modules_as_they_were_at_submission(slurm, tmp_path, tiny_models, capsys, monkeypatch):
    mine, store = write_outside(tmp_path), tmp_path / "store"
    (tmp_path / "lib" / "own_package").mkdir(parents=True)
    (tmp_path / "lib" / "own_package" / "__init__.py").write_text("GAMMA = 1.0\n")
    focal = (mine / "focal.py").read_text()
    (mine / "focal.py").write_text(f"import own_package\n{focal}".replace("** self.gamma", "** own_package.GAMMA"))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    argv = chosen(mine)
    argv[2] = argv[2].replace("[", "[own_package,")
    path = next(line.partition("=")[2] for line in tiny_models if line.startswith("strong.path"))
    argv.append(f"method.experts=[{{path: {path}, name: expert}}]")
    with paused(slurm):
        status, out, err = launch(*argv, f"store={store}", "name=own", *tiny_models, *FAST, *SMALL)
        assert (status, "submitted" in out) == (0, True), err
        for file in (mine / "focal.py", mine / "loud.py", tmp_path / "lib" / "own_package" / "__init__.py"):
            file.write_text("raise ValueError('edited after the submission')\n")
        (mine / "experts.py").unlink()
    slurm.wait_idle()
    assert "edited after" not in job_logs(store)
    assert set(sweep_record(store)["cells"][0]["roles"].values()) <= trained(store).keys()
    assert w2s(["--store", str(store), "status", "own"]) == 0
    assert w2s(["--store", str(store), "report", "own", "--format", "md"]) == 0
    assert "focal" in capsys.readouterr().out
