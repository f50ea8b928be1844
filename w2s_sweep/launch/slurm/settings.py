"""The settings of conf/hydra/launcher/slurm.yaml, all checked before anything is submitted."""

import json
from collections.abc import Mapping
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


@schema
class Settings:
    """What tasks request of the cluster; units and meanings are in the file of the settings."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()
    python: str | None = None
    max_parallel: Count = 64
    stages_per_gpu: Count = 1

    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    cpus: Count | None = None
    memory_gb: Count | None = None
    minutes: Count | None = None
    stages: dict[str, Resources] = Field(default_factory=dict[str, Resources])
    """Kind or role of a stage -> what it requests instead."""
    gpu_memory_gb: Positive = 80.0
    gpu_tflops: Positive = 100.0
    min_minutes: Count = 30
    max_minutes: Count = 1440

    signal_seconds: Annotated[int, Field(ge=1, le=65535)] = 90
    time_retries: Annotated[int, Field(ge=0)] = 20
    memory_retries: Annotated[int, Field(ge=0)] = 2


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check plain settings; raises ConfigError with all that is wrong."""
    try:
        settings = adapter(Settings).validate_json(json.dumps(dict(given)))
    except ValidationError as error:
        raise ConfigError([_explain(dict(item)) for item in error.errors(include_url=False)]) from error
    problems = [unknown(STAGES, name, stage_names()) for name in settings.stages if name not in stage_names()]
    if problems:
        raise ConfigError(problems)
    return settings


def stage_names() -> tuple[str, ...]:
    """What resources can be set for: every kind of stage, and every role that a method gives to one."""
    own = (role for _, method in METHODS.items() for role in method.roles)
    return tuple(dict.fromkeys((*KINDS, *ROLES, *own)))


def _explain(item: Mapping[str, Any]) -> str:
    path = ".".join(["hydra.launcher", *map(str, item["loc"])])
    if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        inner = Resources if len(item["loc"]) > 1 else Settings
        return unknown(path.rpartition(".")[0], str(item["loc"][-1]), inner.__dataclass_fields__)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
    return f"{path}: got {item['input']!r}, but {item['msg'][0].lower()}{item['msg'][1:]}."
