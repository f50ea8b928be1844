"""The methods of weak-to-strong training; `AnyMethod` is the schema of the config group `method`."""

from typing import Annotated

from pydantic import Field

from w2s_sweep.methods.base import Method
from w2s_sweep.methods.bootstrapping import Bootstrapping
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.selective import Selective
from w2s_sweep.methods.strong_to_strong import StrongToStrong
from w2s_sweep.methods.weak_ensemble import WeakEnsemble

AnyMethod = Annotated[
    Naive
    | Bootstrapping
    | ConfidenceFilter
    | Conflict
    | Elicitation
    | Ensemble
    | Generative
    | GroundTruthBudget
    | Icm
    | IcmFeatures
    | KnnRelabel
    | OverlapSelection
    | Prompting
    | Selective
    | StrongToStrong
    | WeakEnsemble,
    Field(discriminator="name"),
]

__all__ = [
    "AnyMethod",
    "Bootstrapping",
    "ConfidenceFilter",
    "Conflict",
    "Elicitation",
    "Ensemble",
    "Generative",
    "GroundTruthBudget",
    "Icm",
    "IcmFeatures",
    "KnnRelabel",
    "Method",
    "Naive",
    "OverlapSelection",
    "Prompting",
    "Selective",
    "StrongToStrong",
    "WeakEnsemble",
]
