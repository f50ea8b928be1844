"""The page docs/TASKS.md: every task, its sources, a printed example. A pure function of the tables and of conf/."""

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from w2s_sweep.config.dataset import AUTO
from w2s_sweep.data.tasks import TASKS, Example, Task
from w2s_sweep.errors import DataError

COMMAND = "python -m w2s_sweep.cli tasks > docs/TASKS.md"

HEAD = f"""# Tasks

Written by `{COMMAND}`; a test holds that it is up to date. The rows are made up, in
the schema of the source. `w2s data DATASET` shows real ones as a model sees them: label counts, groups, lengths
(`--tokens`: in tokens of the strong model, and the share that is cut), a leak scan.

What holds for all of them, in `tests/data/test_tasks_built.py` with made-up rows of every task and in
`tests/data/test_examples.py` (`W2S_TEST_DATA=FOLDER`) with real rows of most:

- a row's texts do not depend on its label; the order of pairs is dealt by a hash;
- the test set has all classes equally often, and no class exceeds 55 % of the training rows (of k > 2 classes: 1.1 / k
  of them), unless `dataset.balance=none`;
- rows of one group are never in two of half A, half B, validation and test;
- the same rows give the same examples in every process and in any order.
"""

SEVERAL = """
## Multiple choice: answers, and whole questions

Examples are (question, answer) pairs, the right answer and a wrong one of each question; accuracy and AUROC are of
single answers. `question_accuracy` is the share of questions whose right answer gets the highest score, a tie counting
as its share: it stands beside them in the report, and `metric=question_accuracy` has the PGR of it. Chance is 1/2. A
group of test rows is a question where it has several rows and exactly one is right; where more than 5 % of such groups
are something else (passages with several questions, documents) it is undefined.

## More than two classes

Heads, soft labels, losses and metrics have as many classes as the task, `text_label` as many as `dataset.labels` names:

    python launch.py -m dataset=tweet_eval_emotion loss=xent,confidence,confidence_released seed=0,1,2 \\
        model@weak=smollm2_135m model@strong=minilm_l6 dataset.n_train=1176

- `balance=classes` cuts every class to the smallest one, `balance=none` keeps the shares of the source; the table then
  says the accuracy of always answering the most frequent class.
- The confidence loss gives each class an equal part of a batch, which is the paper's threshold at two classes, and fits
  balanced data. `confidence_released` takes the shares that the supervisor's labels have in the batch, and so fits
  `balance=none`.
- AUROC is the mean over classes of one against the rest; Brier score and misfit are halves of the sum over classes, so
  that two classes have their usual values; chance is 1/k.
- Methods that prompt need a word for each class, `dataset.prompt.words`; so do heads that begin with words
  (`finetune.head_init=label_words`). `calibrate=median` makes each class the answer to as many rows.
- `ccs`, `icm`, `icm_features` and `selective` exist for two classes, and are refused for more.
"""

WHAT = {
    "classify": "Classification",
    "pair": "Pairs, 1: the first text is preferred",
    "generate": "Generation of the target",
}


def catalogue(conf: Path) -> str:
    """Markdown; `conf`: the folder whose group `dataset` names the sources. One example needs the package `chess`."""
    used = _datasets(conf / "dataset")
    lines = [HEAD, "| task | kind | datasets (`dataset=`) |", "| --- | --- | --- |"]
    for _, task in TASKS.items():
        names = ", ".join(f"`{name}`" for name, _ in used.get(task.name, [])) or "any local file"
        lines.append(f"| [{task.name}](#{task.name}) | {task.kind} | {names} |")
    lines.append(SEVERAL.rstrip("\n"))
    for module, family in groupby(TASKS.items(), key=lambda item: TASKS.place(item[0]).module):
        lines += ["", f"## {_first_line(sys.modules[module].__doc__)}"]
        for name, task in family:
            lines += ["", *_section(task, used.get(name, []))]
    return "\n".join(lines) + "\n"


def _datasets(folder: Path) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """Task -> (name, content) of the dataset files that use it."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for path in sorted(folder.glob("[!_]*.yaml")):
        content: Any = OmegaConf.to_container(_whole(path))
        found.setdefault(content["task"], []).append((path.stem, content))
    return found


def _whole(path: Path) -> DictConfig:
    """A file merged with those beside it that its defaults list names, as Hydra does."""
    own = OmegaConf.load(path)
    assert isinstance(own, DictConfig)
    bases = [_whole(path.with_stem(name)) for name in own.pop("defaults", ["_self_"]) if name != "_self_"]
    merged = OmegaConf.merge(*bases, own)
    assert isinstance(merged, DictConfig)
    return merged


def _section(task: Task, used: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    columns = f"Columns: {', '.join((*task.columns, *task.optional))}."
    several = f" of {len(task.classes)} classes: {', '.join(task.classes)}" if len(task.classes) > 2 else ""
    lines = [f"### {task.name}", "", f"{WHAT[task.kind]}{several}. {columns}"]
    doc = inspect.getdoc(task.convert)
    if doc:
        lines += ["", " ".join(doc.split())]
    lines += [f"- `dataset={name}`: {_source(content)}" for name, content in used]
    if lines[-1].startswith("- "):
        lines.insert(len(lines) - len(used), "")
    if task.sample is None:
        return lines
    lines += ["", "```json", json.dumps(task.sample, ensure_ascii=False), "```", "```text"]
    try:
        shown = "\n\n".join(_as_printed(example) for example in task.examples(task.sample, 0))
    except DataError as error:  # a package that the conversion needs
        shown = str(error)
    return [*lines, *shown.split("\n"), "```"]


def _source(content: Mapping[str, Any]) -> str:
    source = content["source"]
    where = {
        "hub": lambda: source["repository"] + (f" ({source['subset']})" if source.get("subset") else ""),
        "wheel": lambda: f"package {source['package']} {source['version']}",
        "local": lambda: "files of your own",
        "made_up": lambda: f"made-up {source['rows']}",
    }[source["kind"]]()
    split = content["test_split"]
    test = f"test from `{'test' if split == AUTO else split}`" if split else "test held out by group"
    test += " where it is there" if split == AUTO else ""
    return f"{where}, train from `{content['train_split']}`, {test}, cut to {content['max_tokens']} tokens"


def _as_printed(example: Example) -> str:
    """An example with its label above it."""
    if example.target is not None:
        return f"{example.text}[{example.target}]  <- target in brackets"
    if example.text_other is not None:
        return f"label {example.label}\n{example.text}\n--- against ---\n{example.text_other}"
    return f"label {example.label}\n{example.text}"


def _first_line(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split()).rstrip(".")
