"""The quick composition of many cells gives what Hydra's own gives, override by override."""

import itertools

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.launch.compose import CachingConfigLoader, compose_cells, plain_cell
from w2s_sweep.launch.files import bases_of, interpolates
from w2s_sweep.launch.main import CONF
from w2s_sweep.launch.plugin import register

CELLS = {
    "defaults": [],
    "values, nested, forced and added": [
        "seed=3", "metric=auroc", "finetune.epochs=7", "weak.name=small", "dataset.max_tokens=64", "++finetune.lr=0.5",
        "++strong.lora_targets=[q_proj,'v_proj']", "++weak.resources.gpus=2", "+strong.keep_layers=3",
    ],
    "twice, null, quoted and a dictionary": [
        "seed=1", "name=null", "dataset.name='a b'", "++weak.resources={gpus: 1, cpus: 2}", "seed=2",
    ],
    "group and values of it": ["loss.max_weight=0.4", "loss=confidence", "seed=1"],
    "groups": ["loss=confidence", "finetune=lora", "method=naive", "dataset=sst2"],
    "interpolation": ["name=${dataset.name}", "store=${oc.env:HOME}/runs", "dataset.name=other", "seed=1"],
    "files that build on others": ["model@strong=smollm2_135m_first4", "dataset=sst2", "finetune=lora", "seed=1"],
    "package": ["model@weak=smollm2_135m", "weak.name=other"],
    "experiment and what overrides it": ["experiment=demo", "loss=xent", "seed=5", "finetune.epochs=3"],
    "hydra": ["hydra.launcher.pack_flops=1", "seed=4"],
    "deletion": ["~finetune.lr", "seed=2"],
    "launcher": ["hydra/launcher=slurm", "hydra.launcher.wait=true", "seed=1"],
}  # fmt: skip
WRONG = {
    "unknown name": ["nosuch.name=1"],
    "unknown group": ["loss=nosuch"],
    "added though it is there": ["+seed=1", "+nothere.x.y=2"],
}


@pytest.fixture(scope="module")
def stock():
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        yield loader


@pytest.fixture(scope="module")
def quick(stock):
    """One loader for all tests, as for all cells of a grid."""
    return CachingConfigLoader(stock)


@pytest.fixture(scope="module", autouse=True)
def master(stock):
    return master_of(stock)


def master_of(loader):
    """The composition of a command without cells, as a sweeper has it."""
    found = loader.load_configuration("config", overrides=[], run_mode=RunMode.MULTIRUN)
    with open_dict(found):
        found.hydra.job.config_name = "config"
    return found


def composed(loader, master, overrides):
    """The plain cell, or the kind of error."""
    try:
        return plain_cell(loader.load_sweep_config(master, overrides))
    except (HydraException, OmegaConfBaseException) as error:
        return type(error)


@pytest.mark.parametrize("overrides", CELLS.values(), ids=CELLS)
def test_it_equals_hydras_own(stock, quick, master, overrides):
    expected = composed(stock, master, overrides)
    assert isinstance(expected, dict)
    for _ in range(2):  # the second time everything is cached
        assert composed(quick, master, overrides) == expected
        assert compose_cells(quick, master, [overrides]) == [expected]


@pytest.mark.parametrize("overrides", WRONG.values(), ids=WRONG)
def test_what_hydra_refuses_is_refused(stock, quick, master, overrides):
    expected = composed(stock, master, overrides)
    assert isinstance(expected, type)
    assert composed(quick, master, overrides) == expected


@pytest.mark.slow
def test_cells_do_not_share_what_they_set(stock, quick, master):
    grid = [[f"loss={loss}", f"seed={seed}", *more] for loss in ("xent", "confidence") for seed in (0, 1) for more in
            ([], ["++weak.resources.cpus=3"], ["finetune.epochs=9"])]  # fmt: skip
    again = [composed(quick, master, cell) for cell in [*grid, *reversed(grid)]]
    assert again[: len(grid)] == [composed(stock, master, cell) for cell in grid] == again[: len(grid) - 1 : -1]


GRID = (["loss=xent", "loss=confidence", "loss=entropy"], ["finetune=full", "finetune=lora", "finetune=probe"])


def test_of_many_combinations_each_choice_is_composed_once(stock, master, monkeypatch):
    calls = []
    original = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda *a: calls.append(a[2]) or original(*a))
    loader, grid = CachingConfigLoader(stock), [[*both, "seed=1"] for both in itertools.product(*GRID)]
    loader.expect(grid)
    put_together = loader.plain(master, grid[4])
    assert calls == [[], ["loss=confidence"], ["finetune=lora"]]
    assert put_together == composed(stock, master, grid[4])


def test_a_file_that_two_choices_choose_together_is_not_left_out(tmp_path):
    """Of either choice alone it does not exist, and what it says is in neither composition."""
    for group, names in (("a", "xyz"), ("b", "uvw")):
        (tmp_path / group).mkdir()
        for name in names:
            (tmp_path / group / f"{name}.yaml").write_text(f"name: {name}\n")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "y_v.yaml").write_text("said: true\n")
    defaults = "".join(f"- {one}\n" for one in ("a: x", "b: u", "optional both: ${a}_${b}", "_self_"))
    (tmp_path / "config.yaml").write_text(f"defaults:\n{defaults}seed: 0\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        stock = GlobalHydra.instance().config_loader()
        master = master_of(stock)
        loader = CachingConfigLoader(stock)
        grid = [[f"a={a}", f"b={b}"] for a in "xyz" for b in "uvw"]
        loader.expect(grid)
        for argv in grid:
            expected = composed(stock, master, argv)
            assert loader.plain(master, argv) == expected == composed(loader, master, argv)
            assert ("both" in expected) == (argv == ["a=y", "b=v"])


@pytest.mark.slow
def test_what_one_command_sets_is_not_in_the_next_composition(stock, quick, master):
    """Overrides wrote into the files that are kept: a model that a method names had the label of the weak one."""
    before = composed(quick, master, [])
    for overrides in (["weak.name=other", "seed=8"], ["hydra.job.id=x", "weak.name=${hydra:job.id}"]):
        quick.load_configuration("config", overrides, RunMode.MULTIRUN)
    assert composed(CachingConfigLoader(quick), master, []) == before == composed(stock, master, [])


@pytest.mark.slow
def test_each_combination_of_groups_is_composed_once(stock, master, monkeypatch):
    calls = []
    original = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda *a: calls.append(a[2]) or original(*a))
    loader = CachingConfigLoader(stock)
    for loss in ("xent", "confidence"):
        for seed in range(20):
            composed(loader, master, [f"loss={loss}", f"seed={seed}"])
    assert calls == [["loss=xent"], ["loss=confidence"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["values, nested, forced and added", "experiment and what overrides it", "launcher"])
def test_a_command_line_that_was_looked_at_is_not_composed_again(stock, name):
    loader, argv = CachingConfigLoader(stock), [*CELLS[name], "hydra.mode=RUN"]
    first = loader.load_configuration("config", CELLS[name], RunMode.MULTIRUN, validate_sweep_overrides=False)
    second = loader.load_configuration("config", argv, RunMode.RUN)
    assert second is first
    expected = stock.load_configuration("config", argv, RunMode.RUN)
    assert OmegaConf.to_container(second) == OmegaConf.to_container(expected)
    assert loader.load_configuration("config", argv, RunMode.RUN) is not first


def test_a_grid_without_multirun_is_refused_though_it_was_looked_at(stock):
    loader, argv = CachingConfigLoader(stock), ["seed=1,2"]
    loader.load_configuration("config", argv, RunMode.MULTIRUN, validate_sweep_overrides=False)
    with pytest.raises(HydraException, match="multirun"):
        loader.load_configuration("config", [*argv, "hydra.mode=RUN"], RunMode.RUN)


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("defaults: [_base, _self_]", ["_base"]),
        ("defaults: [_base, _more, _self_]", ["_base", "_more"]),
        ("defaults: [_self_, _base]", []),
        ("defaults: [_base]", []),
        ("defaults: [_base@inner, _self_]", []),
        ("defaults: [/model/_base, _self_]", []),
        ("defaults: [_base, other: xent, _self_]", []),
        ("defaults: [_base, optional other: xent, _self_]", []),
        ("defaults: [_base, override /loss: xent, _self_]", []),
        ("name: x", []),
    ],
)
def test_only_plain_bases_are_merged_ahead_of_hydra(tmp_path, text, bases):
    (tmp_path / "own.yaml").write_text(f"{text}\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        found = loader.repository.load_config("own")
    assert found is not None
    assert bases_of(found.defaults_list or []) == bases


INTERPOLATED = {
    "_base.yaml": "name: ???\nlabel: ${.name}\nsizes: {a: 1, b: 2}\nwords: [a, b]\n",
    "plain.yaml": "name: ???\nlabel: null\nsizes: {a: 1, b: 2}\nwords: [a, b]\n",
    "mid.yaml": "defaults: [plain, _self_]\nsizes: {b: 3}\nlabel: ???\n",
    "one.yaml": "defaults: [_base, _self_]\nname: one\nsizes: {c: 3}\n",
    "two.yaml": "defaults: [mid, _self_]\nname: two\nwords: [c]\nsizes: null\n",
    "three.yaml": "# @package _global_\ndefaults: [plain, _self_]\nname: three\n",
    "four.yaml": "defaults: [mid, plain, _self_]\nname: four\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["one", "two", "three", "four"])
def test_files_merged_ahead_come_to_what_hydra_makes_of_them(tmp_path, choice):
    (tmp_path / "thing").mkdir()
    for name, text in INTERPOLATED.items():
        (tmp_path / "thing" / name).write_text(text)
    (tmp_path / "config.yaml").write_text("defaults: [thing@left: one, thing@right: two, _self_]\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        stock = GlobalHydra.instance().config_loader()
        master = master_of(stock)
        for argv in ([f"thing@left={choice}"], [f"thing@left={choice}", f"thing@right={choice}"]):
            expected = composed(stock, master, argv)
            assert isinstance(expected, dict)
            assert composed(CachingConfigLoader(stock), master, argv) == expected


@pytest.mark.parametrize(
    "value", ["${name}", "a/${.name}", "${oc.env:${name}}", "${oc.env:HOME}/${name}", "${oc.select:name}"]
)
def test_a_value_that_looks_at_others_is_told_from_one_of_the_environment(value):
    assert interpolates(OmegaConf.create({"name": "x", "inner": {"value": value}}))
    assert not interpolates(OmegaConf.create({"name": "x", "inner": {"value": "${oc.env:HOME}/runs"}}))


def test_launchers_may_be_registered_any_number_of_times():
    """Each time wrapped the check that it found before, and the thousandth command of a process hit the stack's end."""
    for _ in range(2000):
        register()
    assert Plugins.is_in_toplevel_plugins_module("w2s_sweep.launch.plugin.LocalLauncher")
    assert not Plugins.is_in_toplevel_plugins_module("somewhere.else.Launcher")
