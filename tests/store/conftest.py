"""An empty store for each test that names it."""

import pytest

from w2s_sweep.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store
