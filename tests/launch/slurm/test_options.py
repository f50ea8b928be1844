"""sbatch's options: what was set holds, whatever the shell says; free options, for all tasks or for some."""

import pytest

from tests.launch.slurm.scripts import compare, submitted
from w2s_sweep.errors import ConfigError, LaunchError
from w2s_sweep.launch.slurm.options import rewrite
from w2s_sweep.launch.slurm.settings import read_settings
from w2s_sweep.store import Store


def head(script):
    """Option -> value in a script."""
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def heads(sweeps):
    return [head(script) for script in submitted(sweeps.store).values()]


SHELL = {"SBATCH_JOB_NAME": "mine", "SBATCH_WAIT": "1", "SBATCH_TIMELIMIT": "5", "SBATCH_PARTITION": "short"}


def test_the_shell_beats_nothing_and_is_told_so(sweeps, cluster, monkeypatch, capsys):
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    sweeps.submit(sweeps.cell(), partition="gpu")
    assert not any(name.startswith("SBATCH_") for call in cluster.controller.calls for name in call.variables)
    assert {one["partition"] for one in heads(sweeps)} == {"gpu"}
    assert len(sweeps.run()) == 3
    said = capsys.readouterr().out
    assert "SBATCH_PARTITION=short of the environment: not used, hydra.launcher says gpu" in said
    assert "SBATCH_WAIT=1 of the environment: not used." in said


def test_what_a_sites_profile_sets_and_nobody_else_is_passed_on(sweeps, monkeypatch, capsys):
    monkeypatch.setenv("SBATCH_ACCOUNT", "physics")
    sweeps.submit(sweeps.cell())
    assert {one["account"] for one in heads(sweeps)} == {"physics"}
    assert "SBATCH_ACCOUNT=physics of the environment: passed on" in capsys.readouterr().out


def test_every_option_is_on_the_command_line_too(sweeps, cluster):
    sweeps.submit(sweeps.cell(), partition="gpu")
    for call in cluster.calls("sbatch"):
        assert {"--partition=gpu", "--requeue", "--kill-on-invalid-dep=yes"} <= set(call.arguments)
        assert any(word.startswith("--job-name=w2s-") for word in call.arguments)


def test_free_options_are_merged_last_and_null_removes(sweeps):
    free = {"reservation": "night", "mem": None, "gres": "gpu:a100:{gpus}", "exclusive": True}
    sweeps.submit(sweeps.cell(), sbatch=free)
    by_gpus = [one for one in heads(sweeps) if one["gres"] == "gpu:a100:1"]
    assert by_gpus
    for one in by_gpus:
        assert one["reservation"] == "night"
        assert one["exclusive"] == ""
        assert not one.keys() & {"mem", "gpus-per-node", "wckey"}


def test_gpus_of_a_type_are_requested_by_tasks_with_gpus_alone(sweeps):
    sweeps.submit(sweeps.cell(), gpus=0, sbatch={"gres": "gpu:a100:{gpus}"})
    assert not any("gres" in one for one in heads(sweeps))


def test_a_kind_or_role_has_its_own_place_and_options(sweeps):
    stages = {"ceiling": {"partition": "long", "sbatch": {"nice": 7}}, "weak": {"account": "b"}}
    sweeps.submit(sweeps.cell(), partition="gpu", account="a", sbatch={"nice": 1}, stages=stages)
    found = {(one["partition"], one["account"], one["nice"]) for one in heads(sweeps)}
    assert found == {("gpu", "b", "1"), ("gpu", "a", "1"), ("long", "a", "7")}


@pytest.mark.parametrize(
    ("sbatch", "said"),
    [
        ({"job-name": "x"}, "job-name: cannot be set"),
        ({"kill_on_invalid_dep": "no"}, "cannot be set"),
        ({"--mem": "1G"}, "without its dashes"),
        ({"gres": "gpu:{kind}"}, "In brackets may stand: gpus, cpus"),
        ({"comment": "a\nb"}, "line break"),
    ],
)
def test_options_that_would_break_a_task_are_refused(sbatch, said):
    with pytest.raises(ConfigError, match=said):
        read_settings({"stages": {"weak": {"sbatch": sbatch}}})
    with pytest.raises(ConfigError, match=said):
        read_settings({"sbatch": sbatch})


def test_an_option_may_hold_anything():
    script = rewrite("#!/bin/bash\n\n# Parameters\n#SBATCH --mem=1GB\n\n# command\nrun", (("comment", "it's $5"),), {})
    assert "#SBATCH --comment='it'\"'\"'s $5'\n#SBATCH --mem=1GB\n\n# command\nrun" in script


def test_a_store_with_a_percent_sign_in_its_name_is_refused(sweeps, tmp_path, sources, cluster):
    odd = type(sweeps)(Store(tmp_path / "half 50%j"), sources, cluster)
    with pytest.raises(LaunchError, match="has a % in its name"):
        odd.submit(odd.cell())
    assert cluster.controller.calls == []


def test_a_dry_run_prints_the_scripts_and_submits_nothing(sweeps, cluster, capsys):
    cells = [sweeps.cell(seed=seed) for seed in (0, 1)]
    sweeps.submit(*cells, dry_run=True, partition="gpu")
    said = capsys.readouterr().out
    assert "#SBATCH --array=0-1%2" in said
    assert said.count("#SBATCH --partition=gpu") == 2
    assert not cluster.calls("sbatch")
    assert not (sweeps.store.root / "queued").exists()
    sweeps.submit(*cells, partition="gpu")
    record = sweeps.store.read_sweep("sweep")
    sweeps.submit(sweeps.cell(seed=2), dry_run=True)
    assert sweeps.store.read_sweep("sweep") == record
    assert len(sweeps.run()) == 6


def test_every_setting_and_the_golden_script_agree(sweeps):
    sweeps.submit(sweeps.cell())
    compare(submitted(sweeps.store)["101"], "alone")
