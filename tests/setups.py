"""Cells built in code, for tests that plan and do not run."""

from dataclasses import replace

from w2s_sweep.cells.cell import Cell
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import HubSource
from w2s_sweep.kinds.base import Hints
from w2s_sweep.kinds.data import Data
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.methods.naive import Naive
from w2s_sweep.plan.stage import Stage


def identify(source, kind):
    """What a source would resolve to, without looking anything up."""
    return plain(source) | {"kind": kind}


def model(name):
    source = HubSource(repository=f"owner/{name}")
    return Model(name=name, source=source, params=1_000_000, layers=4, hidden=8, label_words=(" no", " yes"))


def dataset(name="d"):
    return Dataset(name=name, task="sst2", source=HubSource(repository=f"owner/{name}"), n_train=100)


def cell(*, weak="w0", strong="s0", **change):
    fields = {
        "dataset": dataset(),
        "loss": CrossEntropy(),
        "method": Naive(),
        "finetune": Full(),
        "weak": model(weak) if isinstance(weak, str) else weak,
        "strong": model(strong) if isinstance(strong, str) else strong,
    }
    return Cell(**(fields | change))


def ancestors(graph, keys):
    """The stages that one of `keys` needs, directly or not, and `keys` themselves."""
    found = set(keys)
    for key, stage in reversed(list(graph.stages.items())):
        if key in found:
            found.update(stage.inputs.values())
    return found


def data_settings(**change):
    """Settings of a data stage that takes all rows of a source."""
    neutral = {"task": "sst2", "source": {}, "train_split": "train", "test_split": None, "sample_seed": 0}
    return Data(**(neutral | {"n_train": None, "n_test": None} | change))


def data_stage(**change):
    return Stage(data_settings(**change), {}, Hints(label="data", dataset=dataset()))


def probe_settings(**change):
    """Settings of a probe that trains on half B with weak labels."""
    graph = merge([cell(finetune=Probe())], identify)
    return replace(graph.stages[graph.roles[0].student].settings, **change)
