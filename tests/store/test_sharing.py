"""A store of a group: members use each other's stages and nobody's code, readers read, names are their owners'."""

import os
import pwd
import stat

import pytest
from omegaconf import OmegaConf

from tests.results_store import NAME, Shape, build
from tests.users import ANN, BOB, EVE, GROUP, reachable_folder, run_as
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import StoreError
from w2s_sweep.launch.control import retry
from w2s_sweep.launch.hydra_settings import make_sweep_folder
from w2s_sweep.results.collect import collect
from w2s_sweep.store import Store, acquire
from w2s_sweep.store.files import explain_errors, read_json, write_json
from w2s_sweep.store.sharing import init, own_folder, refuse_others, refuse_unsafe

KEY = "a" * 20
as_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming other users needs root")


@pytest.fixture
def store():
    with reachable_folder() as folder:
        found = Store(folder / "store")
        assert run_as(ANN, lambda: init(found, str(GROUP)), umask=0o077) is None
        yield found


def publish(store, key=KEY):
    store.prepare()
    lease = acquire(store, key)
    assert lease is not None
    with lease, store.attempt(key) as out:
        (out / "sub").mkdir()
        (out / "sub" / "a.txt").write_text("result")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@as_root
def test_a_store_is_made_for_a_group_whatever_the_umask(store):
    assert {path.name: mode(path) for path in (store.root, *store.root.iterdir())} == {
        "store": 0o3775, "stages": 0o2775, "work": 0o2775, "claims": 0o2775, "sweeps": 0o3775, "code": 0o3775,
        "queued": 0o2775,
    }  # fmt: skip
    assert {path.stat().st_gid for path in (store.root, *store.root.iterdir())} == {GROUP}
    assert w2s(["init", str(store.root), "--shared", "no such group"]) == 1


@as_root
def test_sweeps_of_all_members_have_room_for_what_hydra_leaves(store):
    def begin(name):
        folder = store.root / "sweeps" / ".hydra" / name
        make_sweep_folder(OmegaConf.create({"store": str(store.root), "hydra": {"sweep": {"dir": str(folder)}}}))
        (folder / "multirun.yaml").write_text(name)

    assert run_as(ANN, lambda: begin("one")) is None
    assert run_as(BOB, lambda: begin("two")) is None
    assert run_as(BOB, lambda: begin("one")) is None  # without a name of their own both are `unnamed`


@pytest.mark.slow
@as_root
@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002])
def test_a_members_stages_are_used_and_changed_by_nobody(store, umask):
    assert run_as(ANN, lambda: publish(store), umask) is None
    assert run_as(BOB, lambda: store.verify(KEY)) == store.path(KEY)
    files = [path for path in store.path(KEY).rglob("*") if path.is_file()]
    assert {mode(path) & 0o222 for path in files} == {0}
    assert isinstance(run_as(BOB, lambda: files[0].write_text("other")), PermissionError)
    assert run_as(BOB, lambda: store.quarantine(KEY)).name.startswith(KEY)  # where it is damaged


@as_root
def test_a_claim_that_a_member_died_with_is_taken_over_by_another(store):
    assert run_as(ANN, lambda: store.prepare() or acquire(store, KEY) is not None, 0o077)
    os.utime(store.claim_path(KEY), (0, 0))
    write_json(store.claim_path(KEY), (read_json(store.claim_path(KEY)) or {}) | {"host": "elsewhere"})
    os.chown(store.claim_path(KEY), ANN, GROUP)
    os.utime(store.claim_path(KEY), (0, 0))
    assert run_as(BOB, lambda: publish(store)) is None
    assert store.is_done(KEY)


def look(store):
    """What a reader may do; their own clock is as good as that of the file system."""
    call = ["--store", str(store.root)]
    codes = [
        w2s([*call, *words])
        for words in (["status"], ["status", NAME], ["explain", collect(store, NAME).rows[0].weak_key])
    ]
    return codes, collect(store, NAME).rows[0].state


@as_root
def test_a_reader_needs_no_right_to_write():
    with reachable_folder() as folder:
        store = build(folder / "store", Shape(n_test=20))
        assert run_as(EVE, lambda: look(store)) == ([0, 0, 0], "done")


@pytest.mark.slow
@as_root
def test_a_name_is_its_first_users(store):
    def record(user):
        own_folder(store.sweep("demo"))
        write_json(store.sweep("demo") / "sweep.json", {"user": user, "stages": {}})

    assert run_as(ANN, lambda: record("ann"), 0o002) is None
    assert mode(store.sweep("demo")) & 0o022 == 0
    assert run_as(ANN, lambda: refuse_others(store, "demo", "")) is None
    error = run_as(BOB, lambda: refuse_others(store, "demo", "so."))
    assert isinstance(error, StoreError)
    assert "sweep 'demo': is ann's, and you are bob; so. Run its cells under a name of your own" in str(error)
    assert isinstance(run_as(BOB, lambda: retry(store, "demo", wait=False)), StoreError)
    assert isinstance(run_as(BOB, lambda: record("bob")), StoreError | PermissionError)


@pytest.mark.slow
@as_root
def test_nobody_runs_code_that_another_member_can_replace(store):
    def put():
        (store.root / "code" / "ann").mkdir(mode=0o700)

    assert run_as(ANN, put, 0o002) is None
    mine = store.root / "code" / "ann"
    assert run_as(ANN, lambda: refuse_unsafe(store, mine)) is None
    assert isinstance(run_as(BOB, lambda: mine.rename(mine.with_name("gone"))), PermissionError)
    assert isinstance(run_as(BOB, lambda: (store.root / "code").rename(store.root / "gone")), PermissionError)
    (store.root / "code").chmod(0o2775)
    os.chown(store.root / "code", BOB, GROUP)
    assert "others can replace" in str(run_as(ANN, lambda: refuse_unsafe(store, mine)))
    os.chown(store.root / "code", ANN, GROUP)
    assert run_as(ANN, lambda: refuse_unsafe(store, mine)) is None
    assert mode(store.root / "code") == 0o3775
    os.chown(mine, BOB, GROUP)
    assert "is not yours alone" in str(run_as(ANN, lambda: refuse_unsafe(store, mine)))


def test_a_store_without_a_group_is_made_too(tmp_path, capsys):
    assert w2s(["init", str(tmp_path / "store")]) == 0
    assert (tmp_path / "store" / "sweeps").is_dir()
    assert not Store(tmp_path / "store").shared
    assert w2s(["--store", str(tmp_path / "store"), "status"]) == 0


def test_what_cannot_be_written_since_it_is_somebody_elses_says_whose_it_is(tmp_path, monkeypatch):
    def refused():
        with pytest.raises(StoreError) as error, explain_errors(tmp_path / "claims" / "key"):
            raise PermissionError(13, "Permission denied")
        return str(error.value)

    owner = pwd.getpwuid(tmp_path.stat().st_uid).pw_name
    assert "key (Permission denied). Choose" in refused()
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    assert (
        f"(Permission denied; {tmp_path} is {owner}'s, who shares a store by `w2s init STORE --shared GROUP`)"
        in refused()
    )
    tmp_path.chmod(0o2775)
    assert f"is {owner}'s)" in refused()
