"""Code outside this package: the modules that the setting `modules` names, and those of installed packages.

A module registers what it defines when it is imported. It is a `.py` file, by its path, or whatever Python can import,
by its name; a file is imported under its whole path, so that two files of one name are two modules. It is imported once
in a process.
"""

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from w2s_sweep.errors import ConfigError, RegistrationError
from w2s_sweep.registry import ABSENT
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

GROUP = "w2s_sweep.plugins"
"""Entry points of installed packages that name modules to import."""
BETWEEN = ("<frozen", str(Path(__file__).parent))
"""Files whose frames stand between us and a module outside: Python's import system and this package."""
STANDARD = sysconfig.get_paths()["stdlib"]


def absolute(modules: Iterable[str]) -> tuple[str, ...]:
    """The modules, files by paths that hold in every folder."""
    return tuple(str(Path(one).expanduser().absolute()) if is_file(one) else one for one in modules)


def is_file(module: str) -> bool:
    """Whether a module is named by the path of its file."""
    return module.endswith(".py") or "/" in module


def import_all(modules: Sequence[str]) -> None:
    """Import modules, after those of installed packages. ConfigError with all that cannot be imported, and why."""
    problems = [problem for one in (*_list_installed(), *absolute(modules)) if (problem := _problem(one))]
    if problems:
        raise ConfigError(problems)


def import_possible(modules: Sequence[str]) -> list[str]:
    """Import what can be, and return what is wrong with the others: only what needs those cannot be done."""
    problems = [problem for one in (*_list_installed(), *absolute(modules)) if (problem := _problem(one))]
    ABSENT.extend(problem for problem in problems if problem not in ABSENT)
    return problems


def read_recorded(store: Store, sweep: str) -> list[str]:
    """The modules of a sweep that was run before; the copy that its jobs run stands in for a file that is gone."""
    copies = (read_json(store.sweep(sweep) / "code.json") or {}).get("modules", {})
    named: list[str] = store.read_sweep(sweep)["settings"]["modules"]
    return [copies.get(one, one) if is_file(one) and not Path(one).is_file() else one for one in named]


@cache
def _list_installed() -> tuple[str, ...]:
    return tuple(sorted({entry.module for entry in entry_points(group=GROUP)}))


def _problem(module: str) -> str:
    """Import one module; what is wrong with it, or nothing."""
    if module in sys.modules:
        return ""
    if not is_file(module):
        return _try(module, lambda: importlib.import_module(module))
    if not Path(module).is_file():
        return (
            f"modules: there is no file {module}. A relative path counts from the folder where the command is typed; "
            "a module that Python can import is named without .py."
        )
    return _try(module, lambda: _import_file(module))


def _import_file(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path] = module  # classes look up what their annotations name there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path]
        raise
    return module


def _try(module: str, load: Callable[[], ModuleType]) -> str:
    try:
        load()
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            return (
                f"modules: Python finds no module {module!r}. Name its file, as in modules=[mine/{module}.py], or put "
                "the folder that holds it into PYTHONPATH."
            )
        return _explain(module, error)
    except (Exception, SystemExit) as error:  # the boundary to somebody else's code: whatever it raises is told
        return _explain(module, error)
    return ""


def _explain(module: str, error: BaseException) -> str:
    """What a module raised, and in which of its lines."""
    what = str(error) if isinstance(error, RegistrationError) else f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"modules: {error.filename}, line {error.lineno}: {what}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(BETWEEN)]
    own = [frame for frame in frames if not is_installed(Path(frame.filename))] or frames
    where = f"{own[-1].filename}, line {own[-1].lineno}" if own else module
    return f"modules: {where}{'' if is_file(module) else f' (module {module})'}: {what}"


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to an installed package, not to somebody who is at work on it."""
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts) or path.is_relative_to(STANDARD)
