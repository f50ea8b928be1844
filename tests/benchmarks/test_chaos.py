"""Scenes of sweeps that are disturbed: what can be shown where nobody has mounts of their own."""

import pytest

from benchmarks.chaos import scenes
from benchmarks.people import PRIVATE


@pytest.fixture(autouse=True)
def without_mounts(monkeypatch):
    monkeypatch.delenv(PRIVATE, raising=False)


def test_a_scene_that_cannot_be_shown_is_refused_in_words(tmp_path):
    with pytest.raises(SystemExit, match=r"--scene: two users cannot be shown here without a second user"):
        scenes(tmp_path, ["two users"])


@pytest.mark.parametrize("named", [[], ["two users", "one user, one cluster", "another cluster's view"]])
def test_scenes_of_one_user_are_left(tmp_path, named):
    assert [scene.name for scene in scenes(tmp_path, named)] == ["one user, one cluster", "another cluster's view"]
