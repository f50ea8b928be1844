"""How W&B is opened: settings that keep it quiet, off the home quota and bounded in time; failures never leave here."""

import hashlib
import logging
import netrc
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from w2s_sweep.tracking.wandb.settings import Wandb

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
SALT = "W2S_WANDB_SALT"
"""Environment variable that is mixed into run ids: W&B never accepts the id of a deleted run again."""
ORIGINS = {"builtins", "wandb", "pydantic_core", "google", "requests", "urllib3"}
"""Packages whose exceptions a W&B call raises on its own account (several of them derive from Exception only)."""


@dataclass
class Boundary:
    """The one place where W&B's failures end: the first is told in one line, then nothing is sent any more."""

    broken: bool = False

    @contextmanager
    def __call__(self, what: str) -> Generator[None]:
        try:
            yield
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ORIGINS:
                raise  # an exception of somebody else, such as a signal handler's, that surfaced in here
            if not self.broken:
                text = " ".join(str(error).split())[:300]
                log.warning(
                    "W&B: %s failed (%s: %s); training goes on and metrics.jsonl keeps every row. "
                    "Run the same command again to mirror what is missing.",
                    what,
                    type(error).__name__,
                    text,
                )
            self.broken = True


@dataclass
class Session:
    """W&B for one sweep in one process."""

    settings: Wandb
    sweep: str
    folder: Path
    """The sweep's folder; W&B's files go to `wandb/` in it."""

    def __post_init__(self) -> None:
        self.mode: Mode = choose_mode(self.settings.mode)
        self.boundary = Boundary()

    @property
    def files(self) -> Path:
        return self.folder / "wandb"

    def open(self, run_id: str, **about: Any) -> Any:
        """A W&B run with this id; offline where the server does not answer. Raises what W&B raises."""
        self._environment()
        import wandb
        from wandb.errors import CommError

        if self.mode == "online":
            try:
                return self._init(wandb, run_id, "online", about)
            except CommError as error:
                log.warning("W&B does not answer (%s); mirroring offline into %s", type(error).__name__, self.files)
                wandb.teardown()
                self.mode = "offline"
        return self._init(wandb, run_id, self.mode, about)

    def _init(self, wandb: Any, run_id: str, mode: Mode, about: Mapping[str, Any]) -> Any:
        run = wandb.init(
            id=run_id,
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="finish_previous",  # a stage that failed leaves its run open
            project=self.settings.project,
            entity=self.settings.entity,
            group=self.sweep,
            dir=self.folder,
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
                x_graphql_retry_max=5,
                init_timeout=300.0 if "SLURM_ARRAY_TASK_ID" in os.environ else 60.0,
                finish_timeout=60.0,
            ),
            **about,
        )
        run.define_metric("global_step")
        run.define_metric("*", step_metric="global_step")
        return run

    def _environment(self) -> None:
        """What W&B reads from the environment only; a user's own choice stays."""
        self.files.mkdir(parents=True, exist_ok=True)
        own = {
            "WANDB_DATA_DIR": str(self.files / "data"),
            "WANDB_CACHE_DIR": str(self.files / "cache"),
            "WANDB_CONFIG_DIR": str(self.files / "config"),
            "WANDB_ERROR_REPORTING": "false",
            "WANDB__SERVICE_WAIT": "300",
        }
        for name, value in own.items():
            os.environ.setdefault(name, value)


def run_id(*names: str) -> str:
    """A W&B run id: the same for the same names and salt, on every machine."""
    text = "\n".join([*names, os.environ.get(SALT, "")])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def choose_mode(wanted: str) -> Mode:
    """What `auto` means here: WANDB_MODE where it is set, online when logged in, offline otherwise."""
    if wanted != "auto":
        return "online" if wanted == "online" else "offline"
    variable = os.environ.get("WANDB_MODE", "")
    if variable in {"offline", "disabled", "online"}:
        return variable  # type: ignore[return-value]
    return "offline" if variable == "dryrun" or not has_account() else "online"


def has_account() -> bool:
    """Whether a W&B key is at hand: in the environment, or an entry of the netrc file for the server's host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    own = os.environ.get("NETRC")
    for path in [Path(own)] if own else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if host in netrc.netrc(path).hosts:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
