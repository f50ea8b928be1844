"""Which methods, and supervisors, cannot be run with the rest of a cell."""

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.finetune import Probe
from w2s_sweep.data.shape import class_names, has_targets, prompt_words
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.errors import unknown
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.wspo import Wspo
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.methods.selective import Selective

PROMPTS = (Ccs, Elicitation, Icm, IcmFeatures, Prompting, Selective)
"""Methods that prompt the strong model for labels."""


def method_problems(cell: Cell) -> list[str]:
    """Why the method of a cell cannot be run with its dataset, models, supervisor and loss."""
    found: list[str] = []
    if isinstance(cell.method, Generative) and cell.strong.adapt is not None:
        found.append(
            f"strong.adapt: is set for {cell.strong.name}, and method=generative adapts it by method.adapt. Leave it "
            "null: it is for other methods."
        )
    return (
        found
        + _class_problems(cell)
        + _supervisor_problems(cell)
        + _prompting_problems(cell)
        + _critic_problems(cell)
        + _generation_problems(cell)
        + _conflict_problems(cell)
    )


def _class_problems(cell: Cell) -> list[str]:
    """What exists for two classes alone, and datasets of other classes than the cell's."""
    count, dataset, method = len(class_names(cell.dataset)), cell.dataset, cell.method
    found: list[str] = []
    if count > 2 and method.two_classes:
        fitting = ", ".join(sorted(n for n, one in METHODS.items() if not (one.two_classes or one.needs_targets)))
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


def _critic_problems(cell: Cell) -> list[str]:
    """What keeps a model from writing critiques."""
    method, limit = cell.method, cell.dataset.max_tokens
    if not isinstance(method, Critic):
        return []
    found: list[str] = []
    if method.max_new_tokens > limit // 2:
        found.append(
            f"method.max_new_tokens: {method.max_new_tokens} of dataset.max_tokens={limit} leave less than half to the "
            f"text. Set it to {limit // 2} or less, or raise dataset.max_tokens."
        )
    writes = ("strong", cell.strong) if method.critic is None else ("method.critic", method.critic)
    models = ((writes[0], writes[1], "writes critiques"), ("weak", cell.weak, "reads critiques"))
    found += [
        f"method: critic, where {side} {what}, and {one.name} is a file of vectors. Choose a language model as {side}."
        for side, one, what in models
        if one is not None and one.features is not None
    ]
    return found


def _generation_problems(cell: Cell) -> list[str]:
    """Settings that do not go with labels that are generated texts, of which there are infinitely many."""
    task, found, method = cell.dataset.task, list[str](), cell.method
    if not has_targets(cell.dataset):
        if method.needs_targets:
            fitting = ", ".join(sorted(name for name, one in TASKS.items() if one.kind == "generate"))
            found.append(
                f"method: {method.name} draws texts, but {task} has classes. Choose a dataset of a generation task "
                f"({fitting}), such as dataset=sums, or another method."
            )
        return found
    if isinstance(method, Reasoning) and method.vote and cell.ceiling.values_tried():
        tried = ", ".join(cell.ceiling.values_tried())
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
