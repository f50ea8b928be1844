"""A machine without W&B's environment, and a W&B server of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.server import WandbServer, serve
from w2s_sweep.tracking.wandb import push, session


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB", "W2S_WANDB"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """One that this machine is logged in to; no request is waited for long."""
    monkeypatch.setattr(push, "LAG_SECONDS", 0.0)
    monkeypatch.setattr(session, "SECONDS", 1.0)
    monkeypatch.setattr(session, "RETRIES", 0)
    monkeypatch.setattr("w2s_sweep.tracking.wandb.arrived.SECONDS", 2.0)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serve() as one:
        monkeypatch.setenv("WANDB_BASE_URL", one.url)
        yield one
