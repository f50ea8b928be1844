"""The settings of conf/hydra/launcher/slurm.yaml, all checked before anything is submitted."""

import json
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from w2s_sweep.config.model import Count, Resources
from w2s_sweep.config.plain import adapter
from w2s_sweep.config.schema import schema
from w2s_sweep.errors import ConfigError, unknown
from w2s_sweep.kinds import KINDS
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.base import ROLES

STAGES = "hydra.launcher.stages"
Positive = Annotated[float, Field(gt=0)]
Option = str | int | bool | None
PLACES = ("partition", "account", "qos", "constraint")
OURS = {
    "array": "the launcher makes the arrays",
    "begin": "tasks wait for their release by it",
    "chdir": "tasks run in the copy of the code",
    "dependency": "tasks wait for the stages they need",
    "error": "logs belong into the store",
    "hold": "tasks wait for their release otherwise",
    "job-name": "tasks are known by it",
    "kill-on-invalid-dep": "what can never run must leave the queue",
    "open-mode": "the log goes on when a task is queued again",
    "output": "logs belong into the store",
    "parsable": "sbatch's words are read",
    "quiet": "sbatch's words are read",
    "signal": "set hydra.launcher.signal_seconds",
    "test-only": "set hydra.launcher.dry_run=true",
    "wait": "set hydra.launcher.wait=true",
    "wrap": "tasks run this package",
}
"""Options of sbatch that cannot be set freely, and why."""
FILLED = {"gpus": 1, "cpus": 1, "memory_gb": 1, "minutes": 1}
"""What may stand in an option's value in brackets: what the task requests."""


@schema
class Placement:
    """Where tasks go, and free options of sbatch."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    sbatch: dict[str, Option] | None = None
    """Option -> value, merged last; null takes an option away, true is one without a value."""


@schema
class StageSettings(Placement, Resources):
    """What tasks of one kind or role of stages request instead."""


@schema
class Settings(Placement):
    """What tasks request of the cluster; units and meanings are in the file of the settings."""

    setup: tuple[str, ...] = ()
    python: str | None = None
    max_parallel: Count = 64
    width: Count | None = None
    max_submit: Count | None = None
    lost_retries: Annotated[int, Field(ge=0)] = 2
    plain: bool = False
    stages_per_gpu: Count = 1

    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    cpus: Count | None = None
    memory_gb: Count | None = None
    minutes: Count | None = None
    stages: dict[str, StageSettings] = Field(default_factory=dict[str, StageSettings])
    """Kind or role of a stage -> what it requests instead."""
    gpu_memory_gb: Positive = 80.0
    gpu_tflops: Positive = 100.0
    min_minutes: Count = 30
    max_minutes: Count = 1440

    signal_seconds: Annotated[int, Field(ge=1, le=65535)] = 90
    time_retries: Annotated[int, Field(ge=0)] = 20
    memory_retries: Annotated[int, Field(ge=0)] = 2
    stall_minutes: Positive | None = None
    notify: str | None = None
    dry_run: bool = False


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check plain settings; raises ConfigError with all that is wrong."""
    try:
        settings = adapter(Settings).validate_json(json.dumps(dict(given)))
    except ValidationError as error:
        raise ConfigError([_explain(dict(item)) for item in error.errors(include_url=False)]) from error
    problems = [unknown(STAGES, name, stage_names()) for name in settings.stages if name not in stage_names()]
    problems += _bad_options("hydra.launcher.sbatch", settings)
    problems += [line for name, of in settings.stages.items() for line in _bad_options(f"{STAGES}.{name}.sbatch", of)]
    if problems:
        raise ConfigError(problems)
    return settings


def _bad_options(field: str, of: Placement) -> Iterator[str]:
    for name, value in (of.sbatch or {}).items():
        if (reason := OURS.get(name.replace("_", "-").lstrip("-"))) is not None:
            yield f"{field}.{name}: cannot be set, {reason}."
        elif not name.replace("-", "").replace("_", "").isalnum() or name.startswith("-"):
            yield f"{field}: got the name {name!r}; write a long option of sbatch without its dashes, such as `gres`."
        elif isinstance(value, str) and (problem := _bad_value(value)):
            yield f"{field}.{name}: got {value!r}, but {problem}. In brackets may stand: {', '.join(FILLED)}."


def _bad_value(value: str) -> str | None:
    if any(ord(letter) < 32 for letter in value):
        return "it has a line break or control character"
    try:
        string.Formatter().vformat(value, (), FILLED)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        return f"its brackets cannot be filled in ({error})"
    return None


def stage_names() -> tuple[str, ...]:
    """What resources can be set for: every kind of stage, and every role that a method gives to one."""
    own = (role for _, method in METHODS.items() for role in method.roles)
    return tuple(dict.fromkeys((*KINDS, *ROLES, *own)))


def _explain(item: Mapping[str, Any]) -> str:
    path = ".".join(["hydra.launcher", *map(str, item["loc"])])
    if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        inner = StageSettings if len(item["loc"]) > 1 else Settings
        return unknown(path.rpartition(".")[0], str(item["loc"][-1]), inner.__dataclass_fields__)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
    return f"{path}: got {item['input']!r}, but {item['msg'][0].lower()}{item['msg'][1:]}."
