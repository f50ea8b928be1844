"""Real clusters for tests, shared by a session. Everything in this folder is marked `slurm` and `slow`.

Without SLURM's programs these tests are skipped, or fail where W2S_REQUIRE_SLURM=1 says that they must run.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, Settings, missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # a hook sees the tests of all folders
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            item.add_marker(pytest.mark.slow)


def require(lacking: list[str]) -> None:
    """Skip the test, or fail it, when programs are missing."""
    if not lacking:
        return
    message = f"no {', '.join(lacking)} (as root: python -m tests.slurm.cluster install)"
    if os.environ.get("W2S_REQUIRE_SLURM") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes with two GPUs each, with accounting. Do not crash its parts: others use it."""
    require(missing())
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_without_accounting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two such nodes, where `sacct` fails. Do not crash its parts: others use it."""
    require(missing(accounting=False))
    with Cluster(tmp_path_factory.mktemp("slurm"), Settings(nodes=2, accounting=False)) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes without accounting that belong to one test, which may break them."""
    require(missing(accounting=False))
    with Cluster(tmp_path / "own", Settings(nodes=2, accounting=False)) as cluster:
        yield cluster
