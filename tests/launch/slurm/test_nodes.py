"""A node whose hardware fails: what failed there runs again by itself, and elsewhere once it has failed twice."""

import pytest

from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.slurm.nodes import MOST, exclude_bad, failed_by_hardware
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.store.files import write_json

ECC = "RuntimeError: CUDA error: uncorrectable ECC error encountered"


def fail(sweeps, key, host="n7.site.org", error=ECC, time="10:00"):
    record = {"error": error, "text": f"Traceback\n{error}", "host": host, "time": time}
    write_json(sweeps.store.work(key) / "failure.json", record)


@pytest.mark.parametrize(
    ("error", "hardware"),
    [
        (ECC, True),
        ("GPU has fallen off the bus", True),
        ("OSError: [Errno 5] Input/output error", True),
        ("CUDA error: device-side assert triggered", False),
        ("RuntimeError: CUDA out of memory", False),
        ("the loss became nan", False),
    ],
)
def test_what_is_a_nodes_fault(error, hardware):
    assert failed_by_hardware({"error": error, "text": error}) == hardware
    assert not failed_by_hardware(None)


def test_a_node_is_left_out_after_its_second_failure_and_stays_so(sweeps):
    sweeps.store.sweep("s").mkdir(parents=True)

    def look(**settings):
        return exclude_bad(sweeps.store, "s", ["a", "b"], Settings(**settings))

    fail(sweeps, "a")
    assert look() == look() == (Settings(), "")
    fail(sweeps, "a", time="11:00")
    settings, said = look()
    assert settings.sbatch == {"exclude": "n7"}
    assert "n7" in said
    (sweeps.store.work("a") / "failure.json").unlink()
    assert look()[0].sbatch == {"exclude": "n7"}
    assert look(sbatch={"exclude": None})[0].sbatch == {"exclude": None}
    assert look(sbatch={"mem": None})[0].sbatch == {"mem": None, "exclude": "n7"}


def test_where_all_nodes_look_broken_none_is_left_out(sweeps):
    sweeps.store.sweep("s").mkdir(parents=True)
    for number in range(2 * (MOST + 1)):
        fail(sweeps, str(number), host=f"n{number // 2}")
    assert exclude_bad(sweeps.store, "s", map(str, range(2 * (MOST + 1))), Settings()) == (Settings(), "")


def test_what_failed_on_a_bad_node_is_queued_again_without_it(sweeps, cluster):
    sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1))
    first, second = sweeps.roles()
    sweeps.run(broken=[first["weak"], second["weak"]])
    fail(sweeps, first["weak"])
    fail(sweeps, second["weak"])
    assert w2s(["--store", str(sweeps.store.root), "keep", "sweep", "--once"]) == 0
    assert "--exclude=n7" in cluster.calls("sbatch")[-1].arguments
    assert len(sweeps.run()) == 4
