"""Which fields of a cell do not go together; each field alone is checked by its type."""

from w2s_sweep.cells.cell import Cell
from w2s_sweep.cells.dataset_checks import dataset_problems, test_problems
from w2s_sweep.cells.method_checks import PROMPTS, method_problems
from w2s_sweep.config.finetune import Lora, Probe, lacking
from w2s_sweep.config.model import Model
from w2s_sweep.data.shape import class_names, has_pairs, head_words
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.errors import unknown
from w2s_sweep.losses.wspo import Wspo
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.metrics import METRICS


def problems_of(cell: Cell) -> list[str]:
    """Every combination in `cell` that cannot be run or compared."""
    weak, strong, found = cell.weak, cell.strong, list[str]()
    if weak is not None and (weak.source, weak.keep_layers) == (strong.source, strong.keep_layers):
        found.append(
            f"model@weak and model@strong: both are {strong.name}, and PGR compares two models. Choose another for one."
        )
    if isinstance(cell.finetune, Lora) and (problem := lacking(cell.finetune.quantise)):
        found.append(problem)
    for model in cell.models():
        found += _features_problems(cell, model) if model.features is not None else _model_problems(cell, model)
    return (
        dataset_problems(cell)
        + found
        + method_problems(cell)
        + _reward_problems(cell)
        + _metric_problems(cell)
        + _ceiling_problems(cell)
        + test_problems(cell)
    )


def _features_problems(cell: Cell, model: Model) -> list[str]:
    """What a file of vectors cannot do in the place of a model."""
    found: list[str] = []
    if not isinstance(cell.finetune, Probe):
        found.append(
            f"features of {model.name}: a file of vectors, which finetune={cell.finetune.name} has no model for. Set "
            "finetune=probe."
        )
    prompted = isinstance(cell.method, (*PROMPTS, Generative)) and model is cell.strong
    if prompted:
        found.append(
            f"features of {model.name}: a file of vectors, and method={cell.method.name} asks or trains the strong "
            "model itself. Choose another method, such as naive."
        )
    said = {"adapt": model.adapt is not None, "keep_layers": model.keep_layers is not None}
    found += [
        f"{name} of {model.name}: is set, but features is a file of vectors and no model is opened. Leave it null."
        for name, value in said.items()
        if value
    ]
    if cell.dataset.task in TASKS and has_pairs(cell.dataset):
        found.append(
            f"features of {model.name}: a file has one vector an example, and the examples of {cell.dataset.task} are "
            "pairs, which need one for each text. Choose another dataset."
        )
    return found


def _model_problems(cell: Cell, model: Model) -> list[str]:
    """What a model lacks for the fine-tuning of its cell."""
    finetune, found = cell.finetune, list[str]()
    if isinstance(finetune, Lora) and finetune.targets == "model" and not model.lora_targets:
        found.append(
            f"lora_targets of {model.name}: is empty, and finetune=lora puts adapters on these modules. Name some, "
            "as in strong.lora_targets=[q_proj,v_proj], or set finetune.targets=all-linear."
        )
    if isinstance(finetune, Lora) and finetune.dora and finetune.quantise != "none":
        found.append(
            f"finetune.dora: the magnitudes are of whole matrices, and finetune.quantise={finetune.quantise} keeps "
            "them in 4 bits. Set one of the two."
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
    return found


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


def _metric_problems(cell: Cell) -> list[str]:
    """A metric that does not exist, or that means nothing for the task."""
    metric, task = METRICS.get(cell.metric), TASKS.get(cell.dataset.task)
    if metric is None:
        return [unknown("metric", cell.metric, METRICS)]
    if metric.reads_groups and cell.ceiling.values_tried():
        return [
            f"metric: {cell.metric} depends on groups, which validation rows are not known by, and ceiling "
            f"({', '.join(cell.ceiling.values_tried())}) picks by it. Leave ceiling empty, or set metric=accuracy."
        ]
    if metric.reads_groups and task is not None and task.leaves_answers_out(cell.dataset.balance):
        return [
            f"metric: {cell.metric} is of whole questions, and dataset.balance=classes leaves answers of "
            f"{cell.dataset.name} out. Set dataset.balance=none."
        ]
    unfit = None if task is None else metric.why_unfit(task.kind)
    if task is None or unfit is None:
        return []
    fitting = ", ".join(name for name, other in METRICS.items() if other.why_unfit(task.kind) is None)
    return [f"metric: {cell.metric}, but {task.name} is {unfit}. Use {fitting}."]


def _ceiling_problems(cell: Cell) -> list[str]:
    """Values for a ceiling's own fine-tuning that nothing would read."""
    tried, finetune = cell.ceiling.values_tried(), cell.finetune
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
