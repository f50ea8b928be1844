"""Which settings of a dataset, and of further test sets, do not go together or with their cell."""

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.dataset import AUTO, Dataset
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.errors import unknown
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.weak_ensemble import WeakEnsemble

SPENDS_HALF_B = (Conflict, GroundTruthBudget)
"""Methods whose student reads the truth of half B."""


def dataset_problems(cell: Cell) -> list[str]:
    """What is wrong with the dataset of a cell."""
    dataset, columns = cell.dataset, _columns_of(cell)
    found: list[str] = []
    if dataset.task not in TASKS:
        found.append(unknown("dataset.task", dataset.task, TASKS))
    if dataset.labels is not None and len(set(dataset.labels)) < len(dataset.labels):
        found.append(f"dataset.labels: {', '.join(dataset.labels)} names a class twice. Name each one once.")
    if dataset.labels is not None and "label" not in columns:
        found.append(
            f"dataset.labels: is set, but task {dataset.task} reads no column label. Leave it out, or choose "
            "dataset.task=text_label."
        )
    unknown_columns = [name for name, _ in dataset.columns or () if name not in columns]
    found += [unknown("dataset.columns", name, columns) for name in unknown_columns if columns]
    task = TASKS.get(dataset.task)
    if dataset.max_new_tokens is not None and task is not None and task.kind != "generate":
        found.append(
            f"dataset.max_new_tokens: is set, but task {dataset.task} has no text to write. Leave it null, or choose a "
            "task of generation."
        )
    return found + _difficulty_problems(dataset) + _unlabelled_problems(cell)


def _columns_of(cell: Cell) -> tuple[str, ...]:
    """The columns that the task of a cell reads."""
    task = TASKS.get(cell.dataset.task)
    return () if task is None else (*task.columns, *task.optional)


def _difficulty_problems(dataset: Dataset) -> list[str]:
    """What says how difficult rows are and would not be read."""
    quantile, threshold = dataset.difficulty_quantile, dataset.difficulty_threshold
    said = {"difficulty_quantile": quantile != 0.5, "difficulty_threshold": threshold is not None}
    names = [f"dataset.{name}" for name, value in said.items() if value]
    if dataset.difficulty is None:
        return [f"{name}: is set, but dataset.difficulty names no column. Name one, or leave it out." for name in names]
    found = [f"{' and '.join(names)}: both say which rows are easy. Set one of them."] if len(names) > 1 else []
    renamed = dict(dataset.columns or ()).get(dataset.difficulty, dataset.difficulty)
    if renamed != dataset.difficulty:  # one name, two columns: that of the file, and what the task gets in its place
        found.append(
            f"dataset.difficulty: {dataset.difficulty} is a column of the file, and dataset.columns gives the task "
            f"{renamed} by that name. Rename the column in the file, or say how difficult rows are in another one."
        )
    return found


def _unlabelled_problems(cell: Cell) -> list[str]:
    """Why rows without a label cannot be part of half B."""
    if cell.dataset.unlabelled == "leave_out":
        return []
    task, found = TASKS.get(cell.dataset.task), list[str]()
    if task is None or task.kind != "classify" or "label" not in task.columns:
        found.append(
            f"dataset.unlabelled: half_b, but task {cell.dataset.task} has no column label that could be empty. Choose "
            "dataset=local (task text_label)."
        )
    if isinstance(cell.method, SPENDS_HALF_B):
        found.append(
            f"dataset.unlabelled: half_b, but method={cell.method.name} reads the truth of half B. Choose another "
            "method, such as naive, or leave it out."
        )
    return found


def test_problems(cell: Cell) -> list[str]:
    """Why further test rows cannot be shown to the models of a cell."""
    if not cell.tests:
        return []
    found: list[str] = []
    names = [one.name for one in cell.tests]
    if len(set(names)) < len(names):
        found.append(
            f"tests: got {', '.join(names)}, and results are told apart by name. Give each dataset its own name."
        )
    for one in cell.tests:
        found += _test_set_problems(cell, one)
    if cell.supervisor.labels is not None:
        found.append(
            "tests: supervisor.labels is a file, which says nothing of other test rows. Choose a weak model, or set "
            "tests=[]."
        )
    if isinstance(cell.method, Prompting | Ccs | MeanDifference):
        found.append(
            f"tests: method={cell.method.name} trains no student by a loss, and further test rows are shown to trained "
            "models. Choose another method, or set tests=[]."
        )
    if isinstance(cell.method, Ensemble | WeakEnsemble) and cell.method.rule in ("learned", "boosted"):
        found.append(
            f"tests: method.rule={cell.method.rule} weighs its members by the cell's own rows, and further test "
            "rows are not among them. Set method.rule=mean or vote, or tests=[]."
        )
    return found


def _test_set_problems(cell: Cell, one: Dataset) -> list[str]:
    if one.task not in TASKS or cell.dataset.task not in TASKS:
        return [] if one.task in TASKS else [unknown(f"tests.{one.name}.task", one.task, TASKS)]
    own, other = TASKS[cell.dataset.task], TASKS[one.task]
    if own.kind == "generate" or own.kind != other.kind:
        alike = ", ".join(sorted(name for name, task in TASKS.items() if task.kind == own.kind != "generate"))
        return [
            f"tests: {one.name} is a task of kind {other.kind}, {cell.dataset.name} of kind {own.kind}. Choose "
            f"datasets of the same kind ({alike or 'none: generated texts have no further tests yet'})."
        ]
    if one.source == cell.dataset.source and one.test_split in (None, AUTO):
        return [
            f"tests: {one.name} has the source of {cell.dataset.name} and no test split of its own, so that rows which "
            "were learnt from could be tested. Set its test_split."
        ]
    return []
