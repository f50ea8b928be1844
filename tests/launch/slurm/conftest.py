"""Stand-ins on PATH and an empty store, for each test its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launch.slurm.stand_in import StandIn
from tests.launch.slurm.sweeps import Sweeps, write_sources
from w2s_sweep.store import Store


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path / "bin").running() as found:
        monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
        yield found


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first submission puts its copy of the package; the others find it there."""
    return tmp_path_factory.mktemp("code")


@pytest.fixture
def sweeps(tmp_path: Path, sources: Path, code: Path, cluster: StandIn) -> Sweeps:
    store = Store(tmp_path / "store")
    store.prepare()
    (store.root / "code").symlink_to(code)
    return Sweeps(store, sources, cluster)
