"""Which fields of a cell do not go together; each field alone is checked by its type."""

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.dataset import AUTO, Dataset
from w2s_sweep.config.finetune import Lora, Probe, lacking
from w2s_sweep.data.shape import class_names, has_pairs, has_targets, head_words, prompt_words
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.errors import unknown
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.wspo import Wspo
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.methods.selective import Selective
from w2s_sweep.methods.weak_ensemble import WeakEnsemble
from w2s_sweep.metrics import METRICS

PROMPTS = (Ccs, Elicitation, Icm, IcmFeatures, Prompting, Selective)
"""Methods that prompt the strong model for labels."""
SPENDS_HALF_B = (Conflict, GroundTruthBudget)
"""Methods whose student reads the truth of half B."""


def problems_of(cell: Cell) -> list[str]:
    """Every combination in `cell` that cannot be run or compared."""
    weak, strong, finetune = cell.weak, cell.strong, cell.finetune
    found: list[str] = []
    if cell.dataset.task not in TASKS:
        found.append(unknown("dataset.task", cell.dataset.task, TASKS))
    if cell.dataset.labels is not None and len(set(cell.dataset.labels)) < len(cell.dataset.labels):
        found.append(f"dataset.labels: {', '.join(cell.dataset.labels)} names a class twice. Name each one once.")
    if cell.dataset.labels is not None and "label" not in _columns_of(cell):
        found.append(
            f"dataset.labels: is set, but task {cell.dataset.task} reads no column label. Leave it out, or choose "
            "dataset.task=text_label."
        )
    unknown_columns = [name for name, _ in cell.dataset.columns or () if name not in _columns_of(cell)]
    found += [unknown("dataset.columns", name, _columns_of(cell)) for name in unknown_columns if _columns_of(cell)]
    if weak is not None and (weak.source, weak.keep_layers) == (strong.source, strong.keep_layers):
        found.append(
            f"model@weak and model@strong: both are {strong.name}, and PGR compares two models. Choose another for one."
        )
    if isinstance(cell.method, Generative) and strong.adapt is not None:
        found.append(
            f"strong.adapt: is set for {strong.name}, and method=generative adapts it by method.adapt. Leave it null: "
            "it is for other methods."
        )
    if isinstance(finetune, Lora) and (problem := lacking(finetune.quantise)):
        found.append(problem)
    for model in (*(() if weak is None else (weak,)), strong, *cell.method.models()):
        if isinstance(finetune, Lora) and not model.lora_targets:
            found.append(
                f"lora_targets of {model.name}: is empty, and finetune=lora puts adapters on these modules. Name some, "
                "as in strong.lora_targets=[q_proj,v_proj]."
            )
        if model.keep_layers is not None and model.keep_layers > model.layers:
            found.append(f"keep_layers of {model.name}: got {model.keep_layers}, the model has {model.layers} layers.")
        blocks = model.keep_layers or model.layers
        if isinstance(finetune, Probe) and model.feature_layer is not None and model.feature_layer > blocks:
            found.append(
                f"feature_layer of {model.name}: got {model.feature_layer}, the model keeps {blocks} layers. "
                "Set feature_layer=null for 60 % of the depth, or lower it."
            )
        by_words = not isinstance(finetune, Probe) and finetune.head_init == "label_words"
        if by_words and head_words(cell.dataset, model) is None:
            count = len(class_names(cell.dataset))
            found.append(
                f"finetune.head_init: label_words, but {model.name} names none. Set its label_words, or head_init=zero."
                if count == 2
                else f"finetune.head_init: label_words, but {cell.dataset.name} has {count} classes and not as many "
                "dataset.prompt.words, where the words of more than two are read. Name one a class, or set "
                "head_init=zero."
            )
    return (
        found
        + _unlabelled_problems(cell)
        + _class_problems(cell)
        + _supervisor_problems(cell)
        + _prompting_problems(cell)
        + _reward_problems(cell)
        + _generation_problems(cell)
        + _conflict_problems(cell)
        + _metric_problems(cell)
        + _ceiling_problems(cell)
        + _test_problems(cell)
    )


def _columns_of(cell: Cell) -> tuple[str, ...]:
    """The columns that the task of a cell reads."""
    task = TASKS.get(cell.dataset.task)
    return () if task is None else (*task.columns, *task.optional)


def _unlabelled_problems(cell: Cell) -> list[str]:
    """Why rows without a label cannot be part of half B."""
    if cell.dataset.unlabelled == "leave_out":
        return []
    task, found = TASKS.get(cell.dataset.task), list[str]()
    if task is None or task.kind != "classify" or "label" not in task.columns or task.fixed_halves:
        found.append(
            f"dataset.unlabelled: half_b, but task {cell.dataset.task} has no column label that could be empty, or "
            "halves of its own. Choose dataset=local (task text_label)."
        )
    if isinstance(cell.method, SPENDS_HALF_B):
        found.append(
            f"dataset.unlabelled: half_b, but method={cell.method.name} reads the truth of half B. Choose another "
            "method, such as naive, or leave it out."
        )
    return found


def _class_problems(cell: Cell) -> list[str]:
    """What exists for two classes alone, and datasets of other classes than the cell's."""
    count, dataset, method = len(class_names(cell.dataset)), cell.dataset, cell.method
    found: list[str] = []
    if count > 2 and method.two_classes:
        fitting = ", ".join(
            sorted(name for name, one in METHODS.items() if not one.two_classes and one is not Reasoning)
        )
        found.append(
            f"method: {method.name}, but {dataset.name} has {count} classes, and the method exists for two: "
            f"{method.two_classes}. Use {fitting}."
        )
    for field, others in (("method.mix", method.datasets()), ("tests", cell.tests)):
        for one in others:
            if one.task in TASKS and len(class_names(one)) != count:
                found.append(
                    f"{field}: {one.name} has {len(class_names(one))} classes, {dataset.name} has {count}, and one "
                    "head predicts both. Choose a dataset with as many."
                )
    return found


def _supervisor_problems(cell: Cell) -> list[str]:
    """Why a file of labels, or hard labels, cannot supervise."""
    how, method, found = cell.supervisor, cell.method, list[str]()
    if how.labels is not None and method.needs_weak_model:
        found.append(
            f"supervisor.labels: {how.labels}, but method={method.name} trains the weak model itself. Choose another "
            "method, or put several annotators into the file as votes (supervisor.columns.votes)."
        )
    if how.labels is None and how.missing == "skip":
        found.append(
            "supervisor.missing: skip, but the weak model labels all rows. Set supervisor.labels=FILE, or leave it out."
        )
    changed = {"harden": how.harden, "calibrate": how.calibrate, "temperature": how.temperature != 1}
    said = [name for name, value in changed.items() if value]
    if len(said) > 1:
        found.append(f"supervisor: {' and '.join(said)} each say how sure labels are. Set one of them.")
    if how.labels is None and how.test == "labelled":
        found.append("supervisor.test: labelled, but the weak model labels all test rows. Leave it out.")
    if has_targets(cell.dataset) and (how.labels is not None or said):
        what = "labels" if how.labels is not None else said[0]
        found.append(
            f"supervisor.{what}: is set, but {cell.dataset.task} is a generation task, whose labels are texts without "
            f"probabilities. Leave supervisor.{what} out."
        )
    if isinstance(cell.loss, Wspo) and how.harden:
        found.append("supervisor.harden: true, but loss=wspo regresses on rewards. Set supervisor.harden=false.")
    return found


def _prompting_problems(cell: Cell) -> list[str]:
    """What keeps the strong model from being prompted for a label."""
    method, task = cell.method, TASKS.get(cell.dataset.task)
    if not isinstance(method, PROMPTS):
        return []
    found: list[str] = []
    if task is not None and task.kind == "generate":
        found.append(
            f"method: {method.name} asks for a class, but what {task.name} wants are texts to be generated. Choose "
            "another method, such as naive, or another task."
        )
    if task is not None and task.kind == "pair" and isinstance(method, Selective):
        found.append(
            f"method: selective learns whether the model is right, and what learns from the pairs of {task.name} is a "
            "reward of single texts, which cannot tell. Choose another method, such as icm."
        )
    words, names = prompt_words(cell.dataset, cell.strong), class_names(cell.dataset)
    if words is None and len(names) == 2:
        found.append(
            f"dataset.prompt.words: {method.name} needs a word for each class, and neither the dataset nor "
            f"{cell.strong.name} names any. Set dataset.prompt.words=[' no',' yes'] or strong.label_words."
        )
    elif words is None or len(words) != len(names):
        found.append(
            f"dataset.prompt.words: {method.name} needs a word for each of {len(names)} classes ({', '.join(names)}), "
            f"there are {len(words or ())}. Set them in this order, each with its blank, as in "
            f"dataset.prompt.words=[{','.join(repr(f' {name}') for name in names)}]."
        )
    if words is not None and len(set(words)) < len(words):
        field = "dataset.prompt.words" if cell.dataset.prompt.words else f"label_words of {cell.strong.name}"
        found.append(f"{field}: got {list(words)}, and a class is told by its word. Give each class another one.")
    if isinstance(method, Prompting) and method.shots == 0 and method.ceiling == "prompted":
        found.append(
            "method.ceiling: prompted, but without shots that is the student itself. Set ceiling=trained or shots=8."
        )
    if isinstance(method, Icm) and method.start > method.rows:
        found.append(f"method.start: {method.start} rows are to begin with a label, but method.rows={method.rows}.")
    return found


def _conflict_problems(cell: Cell) -> list[str]:
    """Why a second dataset does not fit the dataset of the cell."""
    method, dataset = cell.method, cell.dataset
    if not isinstance(method, Conflict):
        return []
    mix, implicit = method.mix, method.kind == "implicit"
    if implicit and mix is None:
        return ["method.mix: kind=implicit mixes rows of another dataset in. Name its file, as in method.mix=sst2."]
    if mix is None:
        return []
    if not implicit:
        return [
            f"method.mix: {mix.name}, but method.kind={method.kind} mixes nothing in. Set method.kind=implicit or "
            "method.mix=null."
        ]
    if mix.task not in TASKS:
        return [unknown("method.mix.task", mix.task, TASKS)]
    if mix.source == dataset.source:
        return [f"method.mix: {mix.name} has the rows of {dataset.name}, the dataset of the cell. Choose another one."]
    if dataset.task in TASKS and TASKS[mix.task].kind != TASKS[dataset.task].kind:
        alike = ", ".join(sorted(name for name, task in TASKS.items() if task.kind == TASKS[dataset.task].kind))
        return [
            f"method.mix: {mix.name} is a task of kind {TASKS[mix.task].kind}, {dataset.name} of kind "
            f"{TASKS[dataset.task].kind}, and one head learns both. Choose a dataset of one of the tasks {alike}."
        ]
    if isinstance(cell.loss, Wspo):
        return ["loss: wspo regresses on rewards, and the rows of method.mix have labels. Choose another loss."]
    return []


def _reward_problems(cell: Cell) -> list[str]:
    """Implicit rewards need pairs, and no head; losses that regress on rewards need implicit rewards."""
    task, finetune, found = cell.dataset.task, cell.finetune, list[str]()
    tuned = None if isinstance(finetune, Probe) else finetune
    implicit = tuned is not None and tuned.reward == "implicit"
    pairs = ", ".join(sorted(name for name, row in TASKS.items() if row.kind == "pair"))
    if implicit and task in TASKS and not has_pairs(cell.dataset):
        found.append(
            f"finetune.reward: implicit, but the examples of dataset.task={task} are single texts. "
            f"Set finetune.reward=head, or choose a task of pairs: {pairs}."
        )
    if tuned is not None and implicit and tuned.head_init == "label_words":
        found.append(
            "finetune.head_init: label_words, but an implicit reward has no head. Set finetune.head_init=zero."
        )
    if isinstance(cell.loss, Wspo) and not implicit:
        found.append(
            f"loss: wspo regresses implicit rewards on those of the supervisor, but finetune={finetune.name} has none "
            f"here. Set finetune=lora finetune.reward=implicit on a task of pairs ({pairs}), or choose another loss."
        )
    return found


def _generation_problems(cell: Cell) -> list[str]:
    """Settings that do not go with labels that are generated texts, of which there are infinitely many."""
    task, found, method = cell.dataset.task, list[str](), cell.method
    if not has_targets(cell.dataset):
        if isinstance(method, Reasoning):
            fitting = ", ".join(sorted(name for name, one in TASKS.items() if one.kind == "generate"))
            found.append(
                f"method: reasoning draws texts, but {task} has classes. Choose a dataset of a generation task "
                f"({fitting}), such as dataset=sums, or another method."
            )
        return found
    if isinstance(method, Reasoning) and method.vote and cell.ceiling.tried():
        tried = ", ".join(cell.ceiling.tried())
        found.append(
            f"method.vote: {method.vote} samples of one ceiling are asked for, and ceiling ({tried}) trains "
            "several. Set method.vote=0, or leave ceiling empty."
        )
    if isinstance(cell.finetune, Probe):
        found.append(
            f"finetune: probe, but {task} is a generation task, and a probe generates no text. Use finetune=full or "
            "finetune=lora."
        )
    if not isinstance(cell.loss, CrossEntropy):
        found.append(
            f"loss: {cell.loss.name}, but {task} is a generation task, whose labels are texts without probabilities. "
            "Use loss=xent."
        )
    if not cell.method.takes_texts and not isinstance(cell.method, PROMPTS):
        found.append(
            f"method: {cell.method.name}, but {task} is a generation task, and the method works on probabilities of "
            "classes. Use method=naive, reasoning, bootstrapping, strong_to_strong or generative."
        )
    return found


def _metric_problems(cell: Cell) -> list[str]:
    """A metric that does not exist, or that means nothing for the task."""
    metric, task = METRICS.get(cell.metric), TASKS.get(cell.dataset.task)
    if metric is None:
        return [unknown("metric", cell.metric, METRICS)]
    unfit = None if task is None else metric.why_unfit(task.kind)
    if task is None or unfit is None:
        return []
    fitting = ", ".join(name for name, other in METRICS.items() if other.why_unfit(task.kind) is None)
    return [f"metric: {cell.metric}, but {task.name} is {unfit}. Use {fitting}."]


def _ceiling_problems(cell: Cell) -> list[str]:
    """Values for a ceiling's own fine-tuning that nothing would read."""
    tried, finetune = cell.ceiling.tried(), cell.finetune
    if tried and isinstance(cell.method, Prompting) and cell.method.ceiling == "prompted":
        return [
            f"ceiling: {', '.join(tried)} are for a ceiling that is trained, and method.ceiling=prompted trains none. "
            "Set method.ceiling=trained, or leave ceiling empty."
        ]
    fields = set(type(finetune).__dataclass_fields__)
    return [
        f"ceiling.{name}: finetune={finetune.name} has no {name}. Set ceiling.{name}=[], or another finetune."
        for name in tried
        if name not in fields
    ]


def _test_problems(cell: Cell) -> list[str]:
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
