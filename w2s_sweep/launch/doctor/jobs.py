"""Whether jobs of a cluster would work: one small job tries it (`w2s doctor --slurm`)."""

from collections.abc import Iterator, Sequence

from w2s_sweep.launch.doctor.base import Finding
from w2s_sweep.store import Store


def check_job(store: Store, words: Sequence[str]) -> Iterator[Finding]:
    """Submit it as a sweep with `hydra/launcher=slurm WORDS` would; returns what it says."""
    from w2s_sweep.launch.slurm.probe import probe, site_settings

    for name, ok, text in probe(store, site_settings(words)):
        said, _, todo = text.partition("\n")
        yield Finding("ok" if ok else "bad", name, said, todo)
