"""Each test of this folder has a cache of its own, and may ask the network."""

from pathlib import Path

import pytest

from w2s_sweep.sources import hub


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("W2S_OFFLINE", raising=False)
    hub._resolve.cache_clear()
