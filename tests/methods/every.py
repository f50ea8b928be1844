"""Every method as a cell has it."""

from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.merge import merge
from w2s_sweep.methods.bootstrapping import Bootstrapping
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.label_refinement import LabelRefinement
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.selective import Selective
from w2s_sweep.methods.strong_to_strong import StrongToStrong
from w2s_sweep.methods.weak_ensemble import WeakEnsemble

METHODS = [
    Naive(),
    Bootstrapping(chain=(model("m0"), model("m1"))),
    ConfidenceFilter(),
    Critic(),
    Elicitation(),
    Icm(),
    IcmFeatures(),
    Conflict(),
    Conflict(kind="opposite", strength=0.2),
    Conflict(kind="implicit", mix=dataset("other")),
    Ensemble(),
    Ensemble(bagging=None, rule="vote"),
    Ensemble(rule="boosted"),
    GroundTruthBudget(),
    KnnRelabel(),
    LabelRefinement(),
    OverlapSelection(),
    Selective(),
    StrongToStrong(rounds=2),
    WeakEnsemble(others=(model("m0"), model("m1"))),
]


def name_of(value):
    return value.name


def graph_of(method, **change):
    return merge([cell(method=method, **change)], identify)
