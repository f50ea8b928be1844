"""How W&B is opened: settings that keep it quiet, off the home quota and bounded in time.

Nothing here is called while a stage trains: an outage costs the uploader some seconds, and nobody else anything.
"""

import hashlib
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from w2s_sweep.tracking.naming import shorten
from w2s_sweep.tracking.wandb.settings import Wandb

Mode = Literal["online", "offline", "disabled"]
SALT = "W2S_WANDB_SALT"
"""Environment variable that is mixed into run ids: W&B never accepts the id of a deleted run again."""
ORIGINS = {"builtins", "wandb", "pydantic_core", "google", "requests", "urllib3"}
"""Packages whose exceptions a W&B call raises on its own account (several of them derive from Exception only)."""
TAG, NAME = 64, 128
"""Most characters of a tag, and of the names of runs and groups, that W&B takes."""
SECONDS, RETRIES = 20.0, 3
"""Of one request. What fails is sent by the next push, so patience gains nothing."""


class WandbFailed(Exception):
    """What W&B raised, in one line."""


@contextmanager
def boundary(what: str) -> Generator[None]:
    """The one place where W&B's own exceptions become WandbFailed; those of others pass."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ORIGINS:
            raise  # an exception of somebody else, such as a signal handler's, that surfaced in here
        raise WandbFailed(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from error


@dataclass
class Session:
    """W&B for one push of one sweep. Use as a context manager: W&B's process ends with it."""

    settings: Wandb
    sweep: str
    folder: Path
    """The sweep's folder; offline runs go to `wandb/` in it, or in WANDB_DIR."""
    mode: Mode
    _before: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), init=False)
    """The user's environment."""

    def __enter__(self) -> "Session":
        self._scratch = TemporaryDirectory(prefix="w2s-wandb-", ignore_cleanup_errors=True)
        # Artifacts and tables are staged in the home directory otherwise. WANDB_CONFIG_DIR stays: `wandb login --host`
        # writes there which server is the user's.
        own = {"WANDB_DATA_DIR": self._scratch.name, "WANDB_CACHE_DIR": self._scratch.name}
        for name, value in (own | {"WANDB_ERROR_REPORTING": "false", "WANDB__SERVICE_WAIT": "300"}).items():
            os.environ.setdefault(name, value)
        # Read by W&B in place of what is passed, or in addition to it.
        for name in ("WANDB_MODE", "WANDB_TAGS", "WANDB_NOTES", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RUN_GROUP"):
            os.environ.pop(name, None)
        import wandb

        with boundary("starting W&B"):
            wandb.teardown()  # it keeps settings and credentials of the environment that it was first used in
            wandb.setup(wandb.Settings(**self.bounds()))
        return self

    def __exit__(self, *_: object) -> None:
        import wandb

        with suppress(WandbFailed), boundary("ending W&B's process"):
            wandb.teardown()
        os.environ.clear()
        os.environ.update(self._before)
        self._scratch.cleanup()

    @property
    def project(self) -> str:
        return project_of(self.settings)

    @property
    def entity(self) -> str | None:
        return entity_of(self.settings)

    @property
    def tag(self) -> str:
        """Of all runs of the sweep."""
        return sweep_tag(self.sweep)

    @property
    def tags(self) -> tuple[str, ...]:
        """Of every run: the sweep's, and those that were wished for."""
        wished = self.settings.tags
        if wished is None:
            wished = tuple(name.strip() for name in self._before.get("WANDB_TAGS", "").split(","))
        return tuple(dict.fromkeys([self.tag, *(shorten(name, TAG) for name in wished if name)]))

    @property
    def notes(self) -> str | None:
        return self.settings.notes or self._before.get("WANDB_NOTES") or None

    @property
    def root(self) -> Path:
        """Where W&B's files of offline runs go, into a folder `wandb`."""
        return Path(os.environ.get("WANDB_DIR") or self.folder).absolute()

    @property
    def files(self) -> Path:
        return self.root / "wandb"

    def bounds(self) -> dict[str, Any]:
        """Settings of W&B that bound how long anything may take."""
        kinds = ("graphql", "file_stream", "file_transfer")
        retries = {f"x_{kind}_retry_max": RETRIES for kind in kinds}
        waits = {f"x_{kind}_retry_wait_max_seconds": min(5.0, SECONDS) for kind in kinds}
        limits = {f"x_{kind}_timeout_seconds": SECONDS for kind in kinds}
        times = {"init_timeout": 3 * SECONDS, "finish_timeout": 3 * SECONDS, "login_timeout": SECONDS}
        return {**retries, **waits, **limits, **times, "silent": True}

    def open(self, run_id: str, **about: Any) -> Any:
        """A W&B run with this id. WandbFailed where that is refused or takes too long."""
        import wandb

        online = self.mode == "online"
        if not online:
            self.files.mkdir(parents=True, exist_ok=True)
        with boundary(f"opening the run {about['name']}"):
            run = wandb.init(
                id=run_id,
                mode=self.mode,
                resume="allow" if online else None,
                reinit="finish_previous",
                project=self.project,
                entity=self.entity,
                # What went online is in the store and at the server: a local copy could only be sent a second time.
                dir=self._scratch.name if online and not os.environ.get("WANDB_DIR") else self.root,
                settings=wandb.Settings(
                    console="off",
                    disable_git=True,
                    disable_code=True,
                    x_disable_stats=True,
                    x_disable_machine_info=True,
                    x_save_requirements=False,
                    **self.bounds(),
                ),
                **about,
            )
            run.define_metric("global_step")
            run.define_metric("*", step_metric="global_step")
        return run


def project_of(settings: Wandb) -> str:
    """Where runs go; W&B's own variable holds where nothing is set."""
    return settings.project or os.environ.get("WANDB_PROJECT") or "w2s-sweep"


def entity_of(settings: Wandb) -> str | None:
    """User or team; None is the default of the account."""
    return settings.entity or os.environ.get("WANDB_ENTITY") or None


def sweep_tag(sweep: str) -> str:
    """The tag of a sweep's runs."""
    return shorten(sweep, TAG)


def run_id(*names: str) -> str:
    """A W&B run id: the same for the same names and salt, on every machine."""
    text = "\n".join([*names, os.environ.get(SALT, "")])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def choose_mode(wanted: str) -> Mode:
    """What the setting `mode` means here. WANDB_MODE=disabled is a switch that turns everything off."""
    variable = os.environ.get("WANDB_MODE", "")
    if variable == "disabled" or wanted == "disabled":
        return "disabled"
    chosen = wanted if wanted != "auto" else {"dryrun": "offline", "run": "online"}.get(variable, variable)
    if chosen in ("online", "offline"):
        return chosen  # pyright: ignore[reportReturnType]
    return "online" if has_account() else "offline"


def open_run() -> str | None:
    """The name of a run that the user has open in this program, as in a notebook; a session would end it."""
    if "wandb" not in sys.modules:
        return None
    from wandb.sdk import wandb_setup

    run = wandb_setup.singleton().most_recent_active_run
    return None if run is None else str(run.name or run.id)


def server_url() -> str:
    """The server that W&B would talk to: WANDB_BASE_URL, else what `wandb login --host` wrote down, else W&B's own."""
    import wandb

    return str(wandb.setup().settings.base_url).rstrip("/")


def has_account() -> bool:
    """Whether W&B finds a key for its server: in the environment, or in the netrc file under any of its names."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk.lib import wbauth

    try:
        return wbauth.read_netrc_auth(host=server_url()) is not None
    except Exception as error:  # a key of another form, which W&B would refuse as well
        if type(error).__module__.partition(".")[0] not in ORIGINS:
            raise
        return False
