"""Blocks of TCP ports for clusters on one machine. A free port may be taken a moment later: blocks are random."""

import random
import socket

from tests.slurm.processes import ClusterError

FIRST, LAST = 10_000, 32_000
"""Below the ephemeral ports."""


def free_block(count: int) -> int:
    """First of so many consecutive ports that nobody listens on; ClusterError when a thousand tries find none."""
    for _ in range(1000):
        first = random.SystemRandom().randrange(FIRST, LAST - count)
        if all(_free(port) for port in range(first, first + count)):
            return first
    raise ClusterError(f"no {count} consecutive free ports between {FIRST} and {LAST}")


def listens(port: int) -> bool:
    """Whether somebody accepts connections to this port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
