"""Finished stages on disk: claim, write, publish atomically, verify, read."""

from w2s_sweep.store.claim import Claim, Lease, acquire, hold, read_claim
from w2s_sweep.store.files import read_jsonl
from w2s_sweep.store.store import Store

__all__ = ["Claim", "Lease", "Store", "acquire", "hold", "read_claim", "read_jsonl"]
