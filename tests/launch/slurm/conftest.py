"""Stand-ins on PATH and an empty store, for each test its own."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.launch.slurm.stand_in import StandIn
from tests.launch.slurm.sweeps import Sweeps, cell_of, run, write_sources
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.kinds import Kind
from w2s_sweep.launch.engine import Job
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path / "bin").running() as found:
        monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
        yield found


class _NoEngine:
    """Leaves a sweep where it is prepared."""

    dry_run = False

    def device(self, stage: Stage[Kind]) -> None:
        return None

    def counts(self, stage: Stage[Kind]) -> tuple[int, ...]:
        return (1,)

    def explain(self, store: Store, plan: Plan) -> Sequence[str]:
        return ()

    def run(self, job: Job) -> bool:
        return False


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Store:
    """A store with the examples that all sweeps read, where the first submission puts its copy of the package too."""
    store = Store(tmp_path_factory.mktemp("prepared"))
    run([cell_of(sources)], Sweep(store=str(store.root)), _NoEngine())
    (store.root / "code").mkdir()
    return store


@pytest.fixture
def sweeps(tmp_path: Path, sources: Path, prepared: Store, cluster: StandIn) -> Sweeps:
    store = Store(tmp_path / "store")
    store.prepare()
    (store.root / "code").symlink_to(prepared.root / "code")
    for key in prepared.keys():  # noqa: SIM118 - not a dict
        store.path(key).symlink_to(prepared.path(key))
    return Sweeps(store, sources, cluster)
