"""`strong=OWNER/NAME` is a choice of the group `model` that has no file: what the hub says of it fills what is open."""

from pathlib import Path

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from tests.sources.test_hub_model import cache, write_cached  # noqa: F401 - a fixture
from tests.sources.test_model_folder import write_model
from w2s_sweep.cells.own_model import with_own_models
from w2s_sweep.cells.parse import parse
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import CachingConfigLoader, plain_cell
from w2s_sweep.launch.one import compose_one
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF

pytestmark = pytest.mark.usefixtures("composing")


def test_nothing_else_is_needed(cache: Path) -> None:  # noqa: F811
    write_cached(cache, model_type="gpt2")
    line = "model@strong=org/name"
    cell = plain_cell(compose("config", [line]))

    def found(**said: object) -> dict:
        lines = [line, *(f"++strong.{name}={value}" for name, value in said.items())]
        return with_own_models([{**cell, "strong": {**cell["strong"], **said}}], [lines])[0]["strong"]

    facts = {"name": "name", "params": 152, "layers": 3, "hidden": 8, "lora_targets": ["c_attn"], "pooling": "last",
             "label_words": [" incorrect", " correct"], "lr_full": 5e-5}  # fmt: skip
    shipped = OmegaConf.to_container(compose("config", ["model@strong=gpt2"]).strong)
    source = {"kind": "hub", "repository": "org/name", "revision": "main"}
    assert found() == {**shipped, **facts, "source": source}  # so that its keys are those of a file for it
    assert found(label_words=None, name="mine")["name"] == "mine"
    assert found(label_words=None)["label_words"] is None
    four = found(name="mine", params=152, layers=3, hidden=8)  # the rest is still open
    assert four == {**found(), "name": "mine"}
    with pytest.raises(ConfigError, match=r"strong.layers: 9, but org/name at main has 3"):
        found(layers=9)


def test_two_of_one_name_are_told_apart(cache: Path) -> None:  # noqa: F811
    write_cached(cache)
    write_cached(cache.parent / "models--other--name")
    jobs = [["model@strong=org/name", "model@weak=other/name"]]
    (cell,) = with_own_models([plain_cell(compose("config", jobs[0]))], jobs)
    assert (cell["weak"]["name"], cell["strong"]["name"]) == ("other-name", "org-name")


def test_in_a_list_of_a_method(cache: Path, tmp_path: Path) -> None:  # noqa: F811
    write_cached(cache, model_type="gpt2")
    mine = write_model(tmp_path / "mine")
    entries = f"org/name,{{model: org/name, keep_layers: 1, name: first}},{{path: {mine}}},gpt2"
    jobs = [["method=bootstrapping", f"method.chain=[{entries}]"]]
    (cell,) = with_own_models([plain_cell(compose("config", jobs[0]))], jobs)
    found = [(one["name"], one["layers"], one["keep_layers"]) for one in cell["method"]["chain"]]
    assert found == [("name", 3, None), ("first", 3, 1), ("mine", 3, None), ("gpt2", 12, None)]
    critic = ["method=critic", "++method.critic=org/name"]
    (one,) = with_own_models([plain_cell(compose("config", critic))], [critic])
    assert one["method"]["critic"]["layers"] == 3
    whole = parse([{**cell, "strong": cell["method"]["chain"][2]}])[0][0]
    assert [one.source.kind for one in whole.method.models()] == ["hub", "hub", "local", "hub"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("gpt2_larg", "method.chain: unknown name 'gpt2_larg'. Did you mean 'gpt2_large'"),
        ("no/where", "method.chain: source.repository: no/where at 'main' is not in the cache"),
        ("/usr/bin", r"method.chain: /usr/bin is a path of this machine. Say method.chain=\[{path: /usr/bin}\]"),
        (
            "gpt2,{model: /usr/bin, keep_layers: 6}",
            r"/usr/bin is a path .* Say method.chain=\[gpt2,{path: /usr/bin, keep_layers: 6}\]\.",
        ),
        ("{path: /no/such}", "method.chain: source.path: /no/such does not exist"),
        ("{path: /usr/bin}", "method.chain: model /usr/bin holds no config.json"),
        ("{model: gpt2, path: MINE}", "method.chain, `model` beside `path`, layers: 12, but .* has 3"),
        ("{model: org/name, layers: 9}", "method.chain, layers: 9, but org/name at main has 3"),
    ],
)
def test_what_cannot_be_in_such_a_list_is_told(cache: Path, tmp_path: Path, entry: str, told: str) -> None:  # noqa: F811
    write_cached(cache)
    entry = entry.replace("MINE", str(write_model(tmp_path / "mine")))
    job = ["method=bootstrapping", f"method.chain=[{entry}]"]
    with pytest.raises(ConfigError, match=told):
        with_own_models([plain_cell(compose("config", job))], [job])


def test_a_single_model_of_a_method_is_no_list() -> None:
    job = ["method=critic", "++method.critic=/usr/bin"]
    with pytest.raises(ConfigError, match=r"Say method.critic={path: /usr/bin}\."):
        plain_cell(compose("config", job))


def test_an_adapter_beside_a_model_is_called_by_its_folder(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "adapter_config.json").write_text("{}")
    job = [
        "method=bootstrapping",
        f"method.chain=[{{model: gpt2, path: {mine}}},{{model: gpt2, path: {mine}, name: x}}]",
    ]
    chain = plain_cell(compose("config", job))["method"]["chain"]
    assert [one["name"] for one in chain] == ["mine", "x"]


def test_how_it_is_said() -> None:
    found = check_words(["-m", "weak=a/b,gpt2", "strong=c/d-1.5B"], CONF)
    assert found == ["model@weak=a/b,gpt2", "model@strong=c/d-1.5B", "--multirun"]
    assert check_words(["strong={path: a/b}"], CONF) == ["++strong={path: a/b}"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("model@strong=gpt2_larg", "Did you mean 'gpt2_large'"),
        ("strong=gpt2_larg,a/b", "Did you mean 'gpt2_large'"),
        ("strong=a/b/c", "unknown name 'a/b/c'"),
        ("dataset=org/name", "dataset: unknown name 'org/name'"),
        ("strong=/usr/bin", "is a path of this machine. Say strong.path=/usr/bin."),
    ],
)
def test_other_words_are_told_as_before(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_words(["-m", line], CONF)


def test_files_in_folders_of_the_group_count_first(tmp_path: Path) -> None:
    (tmp_path / "model" / "mine").mkdir(parents=True)
    (tmp_path / "model" / "mine" / "small.yaml").write_text("name: small\n")
    flags = ["--config-dir", str(tmp_path)]
    assert check_words([*flags, "strong=mine/small"], CONF)[0] == "model@strong=mine/small"
    with pytest.raises(ConfigError, match="Did you mean 'mine/small'"):
        check_words([*flags, "strong=mine/smal"], CONF)


def test_in_a_list_of_a_method_too(tmp_path: Path) -> None:
    for place, layers in (("one", 1), ("two", 2)):  # one after the other, as in a notebook
        folder = tmp_path / place / "model" / "lab"
        folder.mkdir(parents=True)
        (folder / "own.yaml").write_text(f"defaults: [/model/gpt2, _self_]\nname: own\nlayers: {layers}\n")
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        hydra.config_loader = CachingConfigLoader(hydra.config_loader)

        def chain(entry: str, place: str = place) -> dict:
            job = ["method=bootstrapping", f"method.chain=[{entry}]", f"hydra.searchpath=[file://{tmp_path / place}]"]
            return plain_cell(compose("config", job))["method"]["chain"][0]

        assert (chain("lab/own")["name"], chain("{model: lab/own, keep_layers: 1}")["layers"]) == ("own", layers)
        with pytest.raises(ConfigError, match=r"method.chain: unknown name 'lab/owm'\. Did you mean 'lab/own'"):
            chain("lab/owm")


def test_commands_that_run_nothing_read_them_as_a_sweep_does() -> None:
    with compose_one(["strong=a/b", "method=bootstrapping", "method.chain=[c/d]"]) as config:
        cell = plain_cell(config)
    assert [one["source"]["repository"] for one in (cell["strong"], *cell["method"]["chain"])] == ["a/b", "c/d"]
