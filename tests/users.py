"""Runs functions as ordinary users, where a test runs as root."""

import multiprocessing
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GROUP = 54321
ANN, BOB, EVE = 54001, 54002, 54003
"""Ann and Bob are in the group, Eve is not; none of them needs an entry in /etc/passwd."""


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that every user can reach and write; pytest's own are for its user alone."""
    folder = Path(tempfile.mkdtemp(prefix="w2s-users-"))
    folder.chmod(0o1777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run_as(user: int, function: Callable[[], Any], umask: int = 0o022) -> Any:
    """What `function` returns in a process of the user, or the exception that it raised. Imports come before."""
    read, write = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the child calls nothing of other threads
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP] if user != EVE else [])
            os.setgid(user)
            os.setuid(user)
            os.umask(umask)
            os.environ["LOGNAME"] = os.environ["USER"] = {ANN: "ann", BOB: "bob", EVE: "eve"}[user]
            try:
                found = function()
            except BaseException as error:
                found = error
            write.send(found)
        finally:
            os._exit(0)
    write.close()
    with read:
        found = read.recv()
    os.waitpid(child, 0)
    return found
