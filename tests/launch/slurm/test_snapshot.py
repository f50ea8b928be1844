"""What travels with a sweep's jobs: source and templates, and nothing that merely lies beside them."""

from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


def test_secrets_strays_and_targets_of_links_stay_where_they_are(tmp_path):
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    (package / ".git").mkdir()
    (tmp_path / "elsewhere").mkdir()
    kept = ["__init__.py", "inner/loss.py", "inner/page.html.j2", "inner/requeue.sh"]
    strays = [".env", "inner/.secret.py", "weights.bin", "notes", ".git/hook.py", "../elsewhere/shadow.py"]
    for name in (*kept, *strays):
        (package / name).write_text("x")
    (package / "linked.py").symlink_to("/etc/hostname")
    (package / "folder").symlink_to(tmp_path / "elsewhere")
    store = Store(tmp_path / "store")
    store.prepare()
    sweep = store.sweep("s")
    sweep.mkdir()
    folder, _ = take_snapshot(store, sweep, (), package)
    assert sorted(p.relative_to(folder / "pack").as_posix() for p in folder.rglob("*") if p.is_file()) == sorted(kept)
    assert (read_json(sweep / "code.json") or {})["snapshot"] == str(folder)
