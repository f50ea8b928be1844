"""Sweeps that are planned and submitted like any other, and whose stages are made up instead of trained."""

import dataclasses
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import setups
from tests.launch.slurm.stand_in import StandIn
from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.launch.engine import Engine, Job
from w2s_sweep.launch.record import Request
from w2s_sweep.launch.resolve import resolve_all
from w2s_sweep.launch.slurm.engine import SlurmEngine
from w2s_sweep.launch.sweep import run_cells
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking import NoTracker

PARAMS = {"w0": 100_000_000, "w1": 200_000_000, "s0": 2_000_000_000, "s1": 3_000_000_000}
"""All fit a GPU however they are trained; what they take of the host differs."""


def write_sources(folder: Path) -> Path:
    """Models with a configuration and no weight, which is all that planning reads, and rows for a task."""
    for name in PARAMS:
        (folder / name).mkdir(parents=True)
        config = {"name": name, "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 8}
        (folder / name / "config.json").write_text(json.dumps(config))
        (folder / name / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
        (folder / name / "vocab.txt").write_text("")
    rows = [{"sentence": f"sentence {i}", "label": i % 2} for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def model_of(sources: Path, name: str) -> Model:
    source = LocalSource(path=str(sources / name))
    return dataclasses.replace(setups.model(name), source=source, params=PARAMS[name])


def cell_of(sources: Path, weak: str = "w0", strong: str = "s0", seed: int = 0, **change: Any) -> Cell:
    """A cell that is planned as one of real models and data is."""
    models = {"weak": model_of(sources, weak), "strong": model_of(sources, strong)}
    source = LocalSource(path=str(sources / "rows.jsonl"))
    dataset = dataclasses.replace(setups.dataset(), source=source, n_train=40)
    fields: dict[str, Any] = {"dataset": dataset, "seed": seed} | models | change
    return dataclasses.replace(setups.cell(), **fields)


def run(wanted: Sequence[Cell], sweep: Sweep, engine: Engine) -> None:
    """What `launch.py` does once its cells are composed."""
    run_cells(wanted, sweep, resolve_all(wanted), Request(["launch.py"], overrides=[[] for _ in wanted]), engine)


@dataclass(frozen=True)
class _WithoutResults:
    """Made-up stages have no predictions to compute results from."""

    engine: Engine

    @property
    def dry_run(self) -> bool:
        return self.engine.dry_run

    def device(self, stage: Stage[Any]) -> float | None:
        return self.engine.device(stage)

    def counts(self, stage: Stage[Any]) -> Sequence[int]:
        return self.engine.counts(stage)

    def explain(self, store: Store, plan: Plan) -> Sequence[str]:
        return self.engine.explain(store, plan)

    def run(self, job: Job) -> bool:
        self.engine.run(job)
        return False


@dataclass(frozen=True)
class Sweeps:
    """Submits sweeps to one store on one stand-in."""

    store: Store
    sources: Path
    cluster: StandIn

    def cell(self, weak: str = "w0", strong: str = "s0", seed: int = 0, **change: Any) -> Cell:
        return cell_of(self.sources, weak, strong, seed, **change)

    def model(self, name: str) -> Model:
        return model_of(self.sources, name)

    def submit(self, *wanted: Cell, name: str = "sweep", **settings: Any) -> None:
        """As with `hydra/launcher=slurm`; a task for every stage unless `pack_flops` says otherwise."""
        how = {"wait": False, "pack_flops": 0.0, "poll_seconds": 0.0}
        how |= {key: settings.pop(key) for key in how.keys() & settings.keys()}
        sweep = Sweep(store=str(self.store.root), name=name, tracker=settings.pop("tracker", NoTracker()))
        sweep = dataclasses.replace(sweep, plan_only=settings.pop("plan_only", False))
        run(wanted, sweep, _WithoutResults(SlurmEngine(settings, **how)))

    def roles(self, name: str = "sweep") -> list[Mapping[str, str]]:
        """Role -> key, for each cell."""
        return [cell["roles"] for cell in self.store.read_sweep(name)["cells"]]

    def submissions(self) -> list[dict[str, Any]]:
        """The records of all submissions that may still have something in the queue, the oldest first."""
        paths = sorted((self.store.root / "queued").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [read_json(path) or {} for path in paths]

    def jobs(self) -> dict[str, str]:
        """Stage -> job, of the newest task for each."""
        return {
            key: task["job"] for one in self.submissions() for task in one.get("tasks", ()) for key in task["stages"]
        }

    def stages_of(self, job: str) -> list[Stage]:
        """What a task would run: the stages in the job file that its pickle names."""
        (pickle,) = self.store.root.glob(f"sweeps/*/jobs/submitit/{job}_submitted.pkl")
        found = re.findall(rb"/[ -~]*?/jobs/pack-\w+\.json", pickle.read_bytes())
        assert len(found) == 1
        return [Stage.from_json(stage) for stage in (read_json(Path(found[0].decode())) or {})["stages"]]

    def finish(self, *keys: str) -> None:
        """Publish results; a training would."""
        for key in keys:
            with self.store.attempt(key) as out:
                write_json(out / "summary.json", {"label": key})

    def fail(self, key: str, text: str = "the loss became nan") -> None:
        write_json(self.store.work(key) / "failure.json", {"error": text, "text": f"Traceback\n{text}"})

    def run(self, broken: Sequence[str] = (), most: int | None = None) -> list[str]:
        """Let the cluster run all that can run, or `most` tasks, one after another; returns their stages in order.

        A task whose stage is `broken` fails, as does one that SLURM starts before the inputs of its stages are there.
        """
        ran: list[str] = []
        for _ in range(len(self.cluster.queue) if most is None else most):
            ready = [job for job, why in self.cluster.queue.items() if why == "Resources"]
            if not ready:
                break
            job = ready[-1]  # those that stand last first: nothing may lean on their order
            self.cluster.start(job)
            stages = self.stages_of(job)
            for stage in stages:
                missing = [key for key in stage.inputs.values() if not self.store.is_done(key)]
                assert not missing, f"{job} runs {stage.label} before its inputs are there"
                if stage.key not in broken:
                    self.finish(stage.key)
                    ran.append(stage.key)
            bad = [stage.key for stage in stages if stage.key in broken]
            for key in bad:
                self.fail(key)
            self.cluster.end(job, *(("FAILED", "1:0") if bad else ("COMPLETED", "0:0")))
        return ran
