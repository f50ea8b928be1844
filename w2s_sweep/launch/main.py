"""Entry of `launch.py`: checks the command line, then lets Hydra compose and our launcher run the grid."""

import os
import re
import sys
import traceback

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.errors import W2SError
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.plugin import GraphLauncher, raise_failures, register
from w2s_sweep.launch.preflight import checked
from w2s_sweep.launch.site import CONF


class OneCell:
    """Hydra's task function without `-m`: the same path as a grid of one. Errors are kept for `main` to print."""

    def __init__(self) -> None:
        self.error: W2SError | KeyboardInterrupt | None = None

    def __call__(self, config: DictConfig) -> float | None:
        # Not `instantiate_launcher`, which needs the context of a multirun; a run without -m gets none from Hydra.
        launcher = Plugins.instance()._instantiate(HydraConfig.get().launcher)
        assert isinstance(launcher, GraphLauncher)
        try:
            results = launcher.run([plain_cell(config)], [list(HydraConfig.get().overrides.task)])
            raise_failures(results)
        except (W2SError, KeyboardInterrupt) as error:
            self.error = error
            return None
        return results[0].value


def main() -> int:
    """Run the command line; returns the exit status."""
    # Without it Hydra prints errors in its own way and exits; with it they are raised here, to be printed as one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        register()
        sys.argv[1:] = checked(sys.argv[1:], CONF)
        task = OneCell()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
        if task.error is not None:
            raise task.error
    except W2SError as error:
        print(error, file=sys.stderr)
        return 1
    except (HydraException, OmegaConfBaseException) as error:
        said = re.sub(r"\n\t_\w+", "", str(error.__cause__ or error))  # files that others build on are no choices
        if "requires --multirun" in said or "Ambiguous value for argument" in said:
            said = f"several values of one setting are a grid, which needs -m: python launch.py -m ... ({said})"
        print(f"configuration: {said}", file=sys.stderr)
        return 1
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        print(f"configuration: a file is not YAML: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        if not _while_composing(error):
            raise
        print(f"configuration: a file has a form that Hydra cannot compose: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _while_composing(error: Exception) -> bool:
    """Whether Hydra's composition raised it: a file with, say, text where its defaults list should be."""
    frames = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(name.endswith(("config_loader_impl.py", "defaults_list.py")) for name in frames)
