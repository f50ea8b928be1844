"""The script of a job that runs one of this package's own commands: the probe of a site, the last job of a sweep."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from w2s_sweep.launch.slurm.settings import Settings


def script_of(settings: Settings, code: Path, options: Mapping[str, object], words: Sequence[str]) -> str:
    """`words`: what Python is to run; `code`: the copy of this package that is imported; `options`: sbatch's."""
    return "\n".join([
        "#!/bin/bash",
        "# Parameters",
        *(f"#SBATCH --{name}={shlex.quote(str(value))}" for name, value in options.items()),
        *settings.setup,
        import_from(code),
        f"{settings.python or shlex.quote(sys.executable)} {shlex.join(words)}",
        "",
    ])  # fmt: skip


def import_from(code: Path) -> str:
    """A line of shell after which Python finds this copy of the package first."""
    return f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"
