"""Writes requirements.lock: the exact versions that this environment has of all packages that the project needs.

Not what an index offers today, but what the tests of the change ran with. `make lock`, after `make test`.
"""

import platform
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "w2s-sweep"
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
HEAD = """\
# Written by `make lock`: the versions that the tests ran with, on CPython {python} and Linux {machine}. To have them:
#   pip install -r requirements.lock && pip install --no-deps .
# torch is the one for CPUs where pip is pointed at a CPU build of it; another build of this version works as well.
"""


def closure(name: str) -> dict[str, str]:
    """Name -> version of all that a package needs here, without itself. Raises PackageNotFoundError."""
    found: dict[str, str] = {}
    todo = [Requirement(name)]
    done: set[tuple[str, frozenset[str]]] = set()
    while todo:
        one = todo.pop()
        key = canonicalize_name(one.name)
        if (key, frozenset(one.extras)) in done:
            continue
        done.add((key, frozenset(one.extras)))
        found[key] = metadata.version(key).partition("+")[0]  # +cpu is a build of the same version
        for line in metadata.requires(key) or ():
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                todo.append(inner)
    del found[canonicalize_name(name)]
    return found


def write(path: Path = LOCK) -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(closure(PROJECT).items())]
    head = HEAD.format(python=".".join(platform.python_version_tuple()[:2]), machine=platform.machine())
    path.write_text(head + "".join(lines))


if __name__ == "__main__":
    sys.exit(write())
