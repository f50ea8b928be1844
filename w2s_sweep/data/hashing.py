"""Every random choice about rows is a hash of what the row is, so it depends neither on row order nor on a global
generator."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def stable_hash(*parts: object) -> int:
    """64 bits that depend on the text of `parts` only, the same on every machine and Python."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def hashes_of(names: NDArray[Any]) -> Hashes:
    """A hash of each name, of an example or a group, for choices that must not depend on the order of rows."""
    return np.array([stable_hash(name) for name in names.tolist()], dtype=np.uint64)


def group_of(*texts: str) -> str:
    """Name of the group of rows that share `texts`: letter case and white space do not matter."""
    return f"{stable_hash(*(' '.join(text.casefold().split()) for text in texts)):016x}"


def coin(*parts: object) -> bool:
    """A fair coin that falls the same way for the same parts."""
    return bool(stable_hash("coin", *parts) & 1)


def ranks(hashes: Hashes, seed: int, purpose: str) -> Hashes:
    """Pseudo-random sort keys of hashed things: independent between seeds and purposes (splitmix64)."""
    salt = np.uint64(stable_hash(purpose, seed))
    with np.errstate(over="ignore"):
        z = hashes + salt
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
