"""Entry of `launch.py`: checks the command line, then lets Hydra compose and our launcher run the grid."""

import os
import re
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import hydra
import yaml
from hydra._internal import hydra as hydras_own
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.errors import CellsFailed, CompositionError, Interrupted, StageFailed, W2SError
from w2s_sweep.launch.compose import CachingConfigLoader
from w2s_sweep.launch.plugin import Task, register
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF
from w2s_sweep.launch.sweep import Ran
from w2s_sweep.terminal import harmless, while_read

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main(program: str | None = None, words: Sequence[str] | None = None) -> int:
    """Run the command line, that of this process where no other is given; returns the exit status."""
    return while_read(lambda: _status(program or sys.argv[0], sys.argv[1:] if words is None else words))


def _status(program: str, words: Sequence[str]) -> int:
    try:
        launch(program, words)
    except CellsFailed as error:  # whose reasons have been printed, when they failed and with the table
        print(f"{error.count}: why is said above. w2s logs KEY has more; the same command goes on.", file=sys.stderr)
        return 1
    except W2SError as error:
        print(harmless(str(error)), file=sys.stderr)
        return INTERRUPTED if isinstance(error, Interrupted) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def launch(program: str, words: Sequence[str]) -> Ran | None:
    """Run what `python PROGRAM WORDS` says in this process; None where that is no sweep, but `--help` and its like.

    Raises W2SError: CompositionError where Hydra cannot compose the cells, StageFailed where a cell failed.
    """
    task = Task()
    try:
        register()
        with _command_line(program, check_words(words, CONF, Path(program))):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        said = re.sub(r"\n\t_\w+", "", str(error.__cause__ or error))  # files that others build on are no choices
        if "requires --multirun" in said or "Ambiguous value for argument" in said:
            said = said.replace("'++", "'")
            said = f"several values of one setting are a grid, which needs -m: python launch.py -m ... ({said})"
        if of_launcher := re.search(r"full_key: (hydra\.launcher\.\w+)", said):
            said = f"{of_launcher[1]}: the launcher of this command has no such setting. Add hydra/launcher=slurm?"
        if "hydra/sweeper/sampler/" in said and find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
            said = "hydra/sweeper=optuna needs a package that is not installed: pip install 'w2s-sweep[optuna]'"
        raise CompositionError(said) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CompositionError(f"a file is not YAML: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        if "No trials are completed" in str(error):  # Optuna's end of a search in which no cell had a value
            raise StageFailed("No cell of the search had a value: see its table, or w2s status.") from error
        if not _while_composing(error):
            raise
        raise CompositionError(f"a file has a form that Hydra cannot compose: {error}") from error
    if task.error is not None:
        raise task.error
    return task.ran


@contextmanager
def _command_line(program: str, words: Sequence[str]) -> Generator[None]:
    """Have Hydra read these words, and raise errors instead of printing them; leaves nothing of it behind."""
    argv, full, outer = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), GlobalHydra.instance().hydra
    # Without it Hydra prints errors in its own way and exits; with it they are raised here, to be printed as one line.
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [program, *words], "1"
    GlobalHydra.instance().clear()  # a notebook may be using Hydra for something else
    # Hydra has no place to name a loader of one's own, see `CachingConfigLoader.load_configuration` for what it saves.
    setattr(hydras_own, "ConfigLoaderImpl", _loader)  # noqa: B010
    try:
        yield
    finally:
        setattr(hydras_own, "ConfigLoaderImpl", ConfigLoaderImpl)  # noqa: B010
        sys.argv, GlobalHydra.instance().hydra = argv, outer
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


def _loader(config_search_path: ConfigSearchPath) -> CachingConfigLoader:
    return CachingConfigLoader(ConfigLoaderImpl(config_search_path=config_search_path))


def _while_composing(error: Exception) -> bool:
    """Whether Hydra's composition raised it: a file with, say, text where its defaults list should be."""
    frames = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(name.endswith(("config_loader_impl.py", "defaults_list.py")) for name in frames)
