"""A PEFT adapter on its base is a model: the one that peft's own merge makes; what cannot be added is told at once."""

import json
import re
import shutil
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.sources.test_hub import COMMIT
from tests.sources.test_hub_model import cache, online, publish  # noqa: F401 - fixtures
from tests.tiny import sentences, tiny_gpt2, tiny_llama
from w2s_sweep.cells.described import LEFT_OPEN
from w2s_sweep.cells.own_model import with_own_models
from w2s_sweep.cells.parsed import Parsed
from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import AdapterSource, HubSource, LocalSource
from w2s_sweep.errors import ConfigError, SourceError
from w2s_sweep.models.features import frozen_features
from w2s_sweep.models.load import load_backbone
from w2s_sweep.sources import fetch, find, identify
from w2s_sweep.sources.adapter import misfit, source_of
from w2s_sweep.sources.weights import matrices

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it
HOW = {
    "plain": (tiny_llama, AutoModelForCausalLM, {"target_modules": ["q_proj", "down_proj"]}),
    "rsLoRA, other ranks": (
        tiny_llama, AutoModelForCausalLM,
        {"target_modules": "all-linear", "use_rslora": True, "rank_pattern": {"up_proj": 2},
         "alpha_pattern": {"k_proj": 3}},
    ),
    "a classifier": (
        tiny_gpt2, AutoModelForSequenceClassification,
        {"target_modules": ["c_attn"], "task_type": TaskType.SEQ_CLS, "fan_in_fan_out": True},
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=HOW, ids=HOW)
def made(request, tmp_path_factory):
    """(base, adapter, what peft's merge makes of them)"""
    folder, (make, auto, settings) = tmp_path_factory.mktemp("adapter"), HOW[request.param]
    base = make(folder / "base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = get_peft_model(
            auto.from_pretrained(base), LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **settings)
        )
        model.save_pretrained(folder / "mine")
    shutil.copytree(base, folder / "merged")
    model.merge_and_unload().save_pretrained(folder / "merged")
    return base, folder / "mine", folder / "merged"


def test_features_are_those_of_the_merged_model(made):
    base, mine, merged = made
    source = source_of(str(mine), None)
    assert source == AdapterSource(path=str(mine), base=LocalSource(path=str(base)))
    identity = identify(source, "model")
    folder = fetch(source, identity, "model")
    assert find(source, identity, "model") == folder
    assert matrices(folder) == matrices(base)
    states = []
    for path in (folder, merged):
        backbone = load_backbone(path)
        states.append(frozen_features(backbone, backbone.tokens(sentences(6), 16), layer=2, precision="fp32"))
    np.testing.assert_allclose(*states, atol=1e-5)
    alone = load_backbone(base)
    assert np.abs(frozen_features(alone, alone.tokens(sentences(6), 16), layer=2) - states[0]).max() > 1e-2
    first = [load_backbone(one, keep_layers=1) for one in (folder, merged)]
    states = [frozen_features(one, one.tokens(sentences(6), 16), layer=1, precision="fp32") for one in first]
    np.testing.assert_allclose(*states, atol=1e-5)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """An adapter on a llama, which the folder of the base names."""
    folder = tmp_path_factory.mktemp("one")
    base = tiny_llama(folder / "base")
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder / "mine")
    return folder


def test_the_content_of_both_is_the_identity_and_no_path_is(llama, tmp_path):
    moved = shutil.copytree(llama, tmp_path / "moved")
    here = identify(source_of(str(llama / "mine"), None), "model")
    assert identify(source_of(str(moved / "mine"), str(moved / "base")), "model") == here
    weights = moved / "mine" / "adapter_model.safetensors"
    save_file({name: 2 * value for name, value in load_file(weights).items()}, weights)
    assert identify(source_of(str(moved / "mine"), None), "model")["sha256"] != here["sha256"]
    (moved / "base" / "config.json").write_text((moved / "base" / "config.json").read_text() + " ")
    assert identify(source_of(str(moved / "mine"), str(moved / "base")), "model")["base"] != here["base"]
    assert identify(source_of(str(moved / "mine"), str(moved / "base")), "model")["kind"] == "adapter"


def changed(llama, tmp_path, **settings):
    folder = shutil.copytree(llama / "mine", tmp_path / "mine")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"use_dora": True}, "use_dora=True.*merge_and_unload"),
        ({"bias": "all"}, "bias=all"),
        ({"peft_type": "IA3"}, "of the kind IA3, and LORA can be added"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),  # begins with other weights of the base
        ({"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}}, "more than products"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"layer_replication": [[0, 2], [0, 2]]}, "layer_replication"),
        ({"of_a_later_peft": {"x": 1}}, "of_a_later_peft"),
        ({"r": None}, "says no r or lora_alpha"),
    ],
)
def test_what_cannot_be_added_is_told(llama, tmp_path, settings, told):
    with pytest.raises(SourceError, match=told):
        identify(source_of(str(changed(llama, tmp_path, **settings)), None), "model")


def test_more_than_products_no_weights_and_a_pickle_are_told(llama, tmp_path):
    folder = changed(llama, tmp_path)
    source = source_of(str(folder), None)
    weights = folder / "adapter_model.safetensors"
    right = load_file(weights)
    save_file(right | {"base_model.model.lm_head.weight": np.zeros((2, 2), np.float32)}, weights)
    with pytest.raises(SourceError, match="also changes lm_head"):
        identify(source, "model")
    save_file({name: value for name, value in right.items() if "lora_A" in name}, weights)
    with pytest.raises(SourceError, match="half of a product is missing, for model"):
        identify(source, "model")
    save_file({"base_model.model.score.weight": np.zeros((2, 2), np.float32)}, weights)
    with pytest.raises(SourceError, match="holds no product"):
        identify(source, "model")
    for damaged in (b"", b"x" * 100):
        weights.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"is no safetensors file. Copy it again"):
            identify(source, "model")
    save_file(right, weights)
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(SourceError, match=r"is cut off. Copy it again"):
        identify(source, "model")
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(SourceError, match=r"without adapter_model.safetensors .*a pickle"):
        identify(source, "model")


def test_another_base_is_told(llama, tmp_path):
    source = source_of(str(llama / "mine"), str(tiny_llama(tmp_path / "wide", hidden=64)))
    with pytest.raises(SourceError, match=r"for a model.layers.0.self_attn.q_proj of 32 x 32, which in .* is 64 x 64"):
        fetch(source, identify(source, "model"), "model")
    source = source_of(str(llama / "mine"), str(tiny_gpt2(tmp_path / "gpt2")))
    with pytest.raises(SourceError, match=r"which .*gpt2 does not have"):
        fetch(source, identify(source, "model"), "model")


def test_an_adapter_for_the_eyes_of_a_model_is_told(tmp_path):
    """What reads texts alone is loaded of such a model."""
    text, eyes = (f"model.{part}.layers.0.self_attn.q_proj" for part in ("language_model", "vision_tower.encoder"))
    for folder in ("base", "words", "all"):
        (tmp_path / folder).mkdir()
    matrix = np.zeros((4, 4), np.float32)
    save_file({f"{name}.weight": matrix for name in (text, eyes)}, tmp_path / "base" / "model.safetensors")
    for folder, modules in (("words", (text,)), ("all", (text, eyes))):
        halves = {f"base_model.model.{name}.lora_{half}.weight": matrix for name in modules for half in "AB"}
        save_file(halves, tmp_path / folder / "adapter_model.safetensors")
    assert misfit(tmp_path / "words", tmp_path / "base") is None
    assert re.match(
        r"is an adapter for model.vision_tower.*q_proj, which in .*base is no part of its language model. Merge it",
        misfit(tmp_path / "all", tmp_path / "base") or "",
    )


def test_the_base_is_named_by_the_command_the_adapter_or_not_at_all(llama, tmp_path):
    hub = source_of(str(changed(llama, tmp_path, base_model_name_or_path="org/base", revision="v2")), None)
    assert hub.base == HubSource(repository="org/base", revision="v2")
    for base, told in (("/not/there", "which is not here"), (None, "names no base")):
        folder = changed(llama, tmp_path / str(base is None), base_model_name_or_path=base)
        with pytest.raises(SourceError, match=told):
            source_of(str(folder), None)
    assert replace(hub, base=LocalSource(path=str(llama / "base"))) == source_of(hub.path, str(llama / "base"))


def test_the_command_needs_no_more_than_the_folder(llama, tmp_path):
    mine, problems = llama / "mine", list[str]()
    model = {"name": "preset", "path": str(mine), "base": None, "layers": 30, "hidden": 576, "params": 9}
    (cell,) = with_own_models([{"strong": model}], [[f"strong.path={mine}"]])
    assert (cell["strong"]["name"], cell["strong"]["layers"], cell["strong"]["hidden"]) == ("mine", 2, 32)
    assert Parsed(problems).locate(cell["strong"])["source"]["kind"] == "adapter"
    plain = Parsed(problems).locate({"path": str(llama / "base"), "base": "org/base"})
    assert plain["source"] == {"kind": "local", "path": str(llama / "base")}
    assert problems == [
        f"base: org/base, but {llama / 'base'} is no adapter (a folder with adapter_config.json). Leave it out."
    ]
    far = changed(llama, tmp_path, base_model_name_or_path="org/base")
    told = r"an adapter on org/base of the hub.*not in the cache.*strong.base=FOLDER.*model@strong=NAME"
    with pytest.raises(ConfigError, match=told):
        with_own_models([{"strong": model | {"path": str(far)}}], [[f"strong.path={far}"]])
    words = [f"strong.path={far}", "experiment=mine"]  # which chooses the model
    (cell,) = with_own_models([{"strong": model | {"path": str(far)}}], [words])
    assert (cell["strong"]["name"], cell["strong"]["layers"]) == ("mine", 30)


@pytest.mark.usefixtures("online")
def test_what_helps_is_said_of_the_field_at_hand(llama, tmp_path):
    far = changed(llama, tmp_path, base_model_name_or_path="org/base", revision="v2")  # of which the hub knows nothing
    publish(far)
    model = {**dict.fromkeys(LEFT_OPEN, "???"), "path": None, "base": None}
    local = model | {"path": str(far), "source": {"kind": "local", "path": str(far)}}
    hub = model | {"source": {"kind": "hub", "repository": "me/mine", "revision": "main"}}
    for cell, lines, told in (
        (
            {"strong": hub},
            ["model@strong=me/mine"],
            r"me/mine is an adapter .* Or set strong\.base=FOLDER, to .* model\.",
        ),
        (
            {"method": {"name": "bootstrapping", "chain": [local]}},
            [],
            r"base: FOLDER in its entry of method\.chain, .*\(",
        ),
        (
            {"method": {"name": "bootstrapping", "chain": [hub]}},
            [],
            r"base: FOLDER in its entry of method\.chain, .*l\.",
        ),
    ):
        with pytest.raises(ConfigError, match=told + r"(model: NAME there, beside path\)\.)?$"):
            with_own_models([cell], [lines])


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("folder", ["base", "mine"])
def test_a_repository_is_listed_once(llama, monkeypatch, folder):
    """Whether it holds a model or an adapter, and however many cells and entries of lists name it."""
    publish(llama / folder)
    listed, download = list[str](), huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **how: listed.append(name) or download(name, **how)
    )
    source = {"kind": "hub", "repository": "me/mine", "revision": "main"}
    model = {**dict.fromkeys(LEFT_OPEN, "???"), "source": source, "path": None, "base": None}
    cell = {"strong": model, "method": {"name": "bootstrapping", "chain": [dict(model), dict(model)]}}
    (found,) = with_own_models([cell], [["model@strong=me/mine"]])
    assert [one["layers"] for one in (found["strong"], *found["method"]["chain"])] == [2] * 3
    assert listed == ["me/mine"]


@pytest.mark.usefixtures("online")
def test_one_on_the_hub_is_fetched_and_is_its_base_with_it(llama, tmp_path, cache):  # noqa: F811
    shutil.copytree(llama / "base", cache.parent / "models--org--base" / "snapshots" / COMMIT)
    publish(changed(llama, tmp_path, base_model_name_or_path="org/base"))
    source = {"kind": "hub", "repository": "me/mine", "revision": "main"}
    model = {**dict.fromkeys(LEFT_OPEN, "???"), "source": source, "path": None, "base": None}
    with pytest.raises(ConfigError, match=r"strong\.layers: 9, but me/mine at main has 2"):
        with_own_models([{"strong": model | {"layers": 9}}], [["model@strong=me/mine", "strong.layers=9"]])
    (cell,) = with_own_models([{"strong": model}], [["model@strong=me/mine"]])
    assert (cell["strong"]["name"], cell["strong"]["layers"], cell["strong"]["hidden"]) == ("mine", 2, 32)
    found = from_plain(AdapterSource, Parsed([]).locate(cell["strong"])["source"])
    assert found.base == HubSource(repository="org/base")
    identity = identify(found, "model")
    assert (fetch(found, identity, "model") / "adapter" / "adapter_model.safetensors").is_file()


def test_an_adapter_on_an_adapter_is_told(llama, tmp_path, cache):  # noqa: F811
    """Whether its base lies here or on the hub, and whether the hub's was described by hand."""
    inner = changed(llama, tmp_path / "inner")
    told = "is an adapter itself. Merge it into its base .* and set {}base=FOLDER to that"
    with pytest.raises(SourceError, match=f"the base of this adapter, .*inner/mine, {told.format('')}"):
        source_of(str(llama / "mine"), str(inner))
    cached = cache.parent / "models--org--base" / "snapshots" / COMMIT
    (cached.parents[1] / "refs").mkdir(parents=True)
    (cached.parents[1] / "refs" / "main").write_text(COMMIT)
    shutil.copytree(inner, cached)
    far = changed(llama, tmp_path / "far", base_model_name_or_path="org/base")
    with pytest.raises(ConfigError, match=f"an adapter on org/base of the hub, which {told.format('strong.')}"):
        with_own_models([{"strong": {"name": "preset", "path": str(far), "base": None}}], [[f"strong.path={far}"]])
    assert re.match(f"is on .*, which {told.format('')}", misfit(far, cached) or "")


def test_a_base_without_an_adapter_is_told():
    problems = list[str]()
    Parsed(problems).locate({"path": None, "base": "/copy"}, "strong")
    assert problems == [
        "strong: base: /copy is the model of an adapter, and path, the folder of that, is not set. Set both."
    ]


def test_two_bases_of_one_adapter_are_two_models(llama, tmp_path):
    other = tiny_llama(tmp_path / "deep", layers=3)
    model = {"name": "preset", "path": str(llama / "mine"), "layers": 30, "hidden": 576, "params": 9}
    cells = [{"strong": model | {"base": str(base)}} for base in (llama / "base", other)]
    said = [[f"strong.path={model['path']}", f"strong.base={cell['strong']['base']}"] for cell in cells]
    assert [cell["strong"]["layers"] for cell in with_own_models(cells, said)] == [2, 3]


def test_a_copy_that_was_damaged_is_not_loaded(llama):
    source = source_of(str(llama / "mine"), None)
    identity = identify(source, "model")
    inside = fetch(source, identity, "model") / "adapter" / "adapter_model.safetensors"
    right = inside.read_bytes()
    inside.write_bytes(right[:-4] + b"....")
    with pytest.raises(SourceError, match="was damaged"):
        fetch(source, identity, "model")
    inside.write_bytes(right)


def test_an_output_layer_with_a_product_is_told_and_a_pooler_is_left_out(llama, tmp_path):
    folder = changed(llama, tmp_path)
    weights = folder / "adapter_model.safetensors"
    right = load_file(weights)
    for module, told in (("lm_head", "also changes lm_head"), ("bert.pooler.dense", None)):
        halves = {f"base_model.model.{module}.lora_{half}.weight": np.ones((2, 2), np.float32) for half in "AB"}
        save_file(right | halves, weights)
        source = source_of(str(folder), None)
        if told is None:
            assert load_backbone(fetch(source, identify(source, "model"), "model")).layers == 2
        else:
            with pytest.raises(SourceError, match=told):
                identify(source, "model")


def test_paths_are_those_of_the_command_wherever_a_job_runs(llama, monkeypatch):
    monkeypatch.chdir(llama)
    parsed = Parsed([])
    for said in ({"path": "base"}, {"features": "base"}, {"source": {"kind": "local", "path": "base"}}):
        assert parsed.locate(said)["source"]["path"] == str(llama / "base")
    made = parsed.locate({"path": "mine"})["source"]
    assert (made["path"], made["base"]["path"]) == (str(llama / "mine"), str(llama / "base"))
    assert parsed.locate({"labels": "votes.jsonl"}, "supervisor") == {"labels": str(llama / "votes.jsonl")}
    assert parsed.locate({"labels": "yes"}, "dataset") == {"labels": "yes"}  # a mistake, told as it was typed
