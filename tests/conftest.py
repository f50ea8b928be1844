"""Settings of every test process: one thread, no network, a cache of its own, the same examples, shapes checked."""

import gc
import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# The process that hands out the tests runs none.
if "PYTEST_XDIST_WORKER" in os.environ or "-n" not in sys.argv:
    from hypothesis import HealthCheck, settings

    from tests import shape_check  # loads numpy, which reads the environment above

    # How long an example takes says how busy the machine is; with other examples every time, green would be luck.
    settings.register_profile(
        "everywhere", derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("everywhere")
    # Here and in no hook of pytest's: the conftest of a folder that stands on the command line, which is loaded before
    # any hook is called, may import the metrics.
    shape_check.install()


def pytest_collection_finish() -> None:
    gc.freeze()  # the million objects of the libraries, which each full collection would visit again


@pytest.fixture(scope="module")
def composing():
    """Lets `hydra.compose` compose the files of conf/, each read once, as a sweep does."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from w2s_sweep.launch.compose import CachingConfigLoader
    from w2s_sweep.launch.plugin import register
    from w2s_sweep.launch.site import CONF

    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        hydra.config_loader = CachingConfigLoader(hydra.config_loader)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    if "W2S_CACHE" not in os.environ:
        os.environ["W2S_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory):
    from tests.tiny import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """Overrides that replace the two models of a cell with tiny ones."""
    from tests.tiny import tiny_llama

    weak = tiny_llama(tmp_path_factory.mktemp("weak"), layers=2, hidden=16, seed=1)
    strong = tiny_llama(tmp_path_factory.mktemp("strong"), layers=3, hidden=32, seed=2)
    return [f"weak.path={weak}", "weak.name=tiny-weak", "weak.lora_targets=[q_proj]",
            f"strong.path={strong}", "strong.name=tiny-strong",
            "strong.feature_layer=null"]  # fmt: skip


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory):
    """Overrides that replace the dataset with 240 rows whose label can be learned from their words."""
    import json
    import random

    from tests.tiny import WORDS

    draw = random.Random(0)
    good, bad = ["good", "great", "fine", "superb"], ["bad", "poor", "dull", "awful"]
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    with path.open("w") as file:
        for i in range(240):
            words = draw.choices(WORDS[:14], k=5) + draw.choices(good if i % 2 else bad, k=2)
            draw.shuffle(words)
            file.write(json.dumps({"sentence": " ".join(words) + f" {i}", "label": i % 2}) + "\n")
    return ["dataset=sst2", f"dataset.path={path}", "dataset.name=tiny", "dataset.test_split=null",
            "dataset.n_train=null", "dataset.n_test=null", "dataset.max_tokens=32"]  # fmt: skip
