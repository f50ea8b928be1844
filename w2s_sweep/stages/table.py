"""The literal table of what each kind of stage does. Modules are imported when their kind runs, so that preparing data
where a sweep is submitted does not load torch."""

from collections.abc import Mapping
from importlib import import_module

from w2s_sweep.plan.stage import Kind
from w2s_sweep.stages.context import Context

STAGES: Mapping[Kind, str] = {
    "data": "w2s_sweep.stages.data",
    "features": "w2s_sweep.stages.features",
    "probe": "w2s_sweep.stages.probe",
    "finetune": "w2s_sweep.stages.finetune",
    "combine": "w2s_sweep.stages.combine",
    "filter": "w2s_sweep.stages.filter",
    "reveal": "w2s_sweep.stages.reveal",
    "relabel": "w2s_sweep.stages.relabel",
    "select": "w2s_sweep.stages.select",
    "prompt": "w2s_sweep.stages.prompt",
    "annotate": "w2s_sweep.stages.annotate",
    "calibrate": "w2s_sweep.stages.calibrate",
    "elicit": "w2s_sweep.stages.elicit",
    "correct": "w2s_sweep.stages.correct",
    "route": "w2s_sweep.stages.route",
    "weigh": "w2s_sweep.stages.weigh",
    "adapt": "w2s_sweep.stages.adapt",
    "generate": "w2s_sweep.stages.generate",
}
"""Kind -> module whose `run(context)` does the work."""


def run(context: Context) -> None:
    """Do the work of the context's stage."""
    import_module(STAGES[context.stage.kind]).run(context)
