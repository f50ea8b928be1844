"""How much work a stage is, estimated before anything was read: examples, tokens, floating-point operations."""

from collections.abc import Iterable
from dataclasses import dataclass

from w2s_sweep.data.tasks import TASKS
from w2s_sweep.plan.stage import Json, Stage

UNKNOWN_EXAMPLES = 10_000
"""Assumed size of a dataset whose configuration puts no bound on it."""
CHARACTERS_A_TOKEN = 4
HALF = {"half_a": 0.5, "half_b": 0.5}


@dataclass(frozen=True)
class Cost:
    """An estimate, good to a factor of two: real lengths are known only after tokenisation."""

    examples: float = 0.0
    """Examples that pass through the model, every epoch counted."""
    tokens: float = 0.0
    flops: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.examples + other.examples, self.tokens + other.tokens, self.flops + other.flops)


def cost(stage: Stage) -> Cost:
    """2 FLOPs a parameter and token forward, 4 more backward (Kaplan et al. 2020, section 2.1); probes are free."""
    if stage.kind not in ("features", "finetune", "prompt", "annotate", "generate", "adapt"):
        return Cost()
    dataset, model = stage.run["dataset"], stage.run["model"]
    params = float(model["params"])
    train, test = _sizes(dataset)
    pairs = TASKS[dataset["task"]].kind == "pair"
    length = min(float(dataset["tokens_per_example"]), float(dataset["max_tokens"])) * (2 if pairs else 1)
    if stage.kind == "features":
        layer = model["feature_layer"]
        depth = 0.6 if layer is None else min(1.0, layer / (model["keep_layers"] or model["layers"]))
        examples = train + test
        return Cost(examples, examples * length, 2 * params * depth * examples * length)
    if stage.kind == "prompt":
        return _prompting(stage, train, test, length)
    if stage.kind == "annotate":
        return _annotating(stage, train, test, length)
    if stage.kind == "adapt":
        examples = train * stage.settings["adapt"]["epochs"]
        return Cost(examples, examples * length, 6 * params * examples * length)
    dealt = train * (1 - dataset["validation"])
    _, portions = stage.settings.get("portion") or (0, 1)
    seen = dealt * HALF[stage.settings["on"]] / portions
    seen *= 1 + (stage.settings.get("mixed") or {"rows": 0})["rows"]
    learned = seen * stage.settings["finetune"]["epochs"]
    predicted = dealt * 0.5 + train * dataset["validation"] + test
    if stopping := stage.settings.get("early_stopping"):
        predicted += train * dataset["validation"] * stopping["evaluations"]
    if stage.settings.get("reward") == "implicit":
        predicted += predicted + seen  # the model before training reads everything once
    return Cost(learned + predicted, (learned + predicted) * length, params * length * (6 * learned + 2 * predicted))


def _prompting(stage: Stage, train: float, test: float, length: float) -> Cost:
    """Demonstrations pass through the model once, since all rows share them."""
    settings, dataset = stage.settings, stage.run["dataset"]
    half = train * (1 - dataset["validation"]) / 2
    sizes = {"half_a": half, "half_b": half, "validation": train * dataset["validation"], "test": test}
    examples = sum(sizes[split] for split in settings.get("splits", sizes))
    around = (len(settings["question"]) + len(max(settings["words"], key=len, default=""))) / CHARACTERS_A_TOKEN
    tokens = (examples + settings["shots"]) * (length + around)
    return Cost(examples, tokens, 2 * float(stage.run["model"]["params"]) * tokens)


def _annotating(stage: Stage, train: float, test: float, length: float) -> Cost:
    """A step that changes a label asks every fold again under all others; about twice as many steps do so as there are
    rows, and half of them are labelled on the way."""
    settings, dataset = stage.settings, stage.run["dataset"]
    half = train * (1 - dataset["validation"]) / 2
    rows = min(float(settings["rows"]), half)
    folds = min(float(settings["folds"] or rows), rows)
    changes = min(2 * rows, float(settings["steps"]))
    words = length + len(settings["question"]) / CHARACTERS_A_TOKEN
    examples = changes * rows / 2 + half + train * dataset["validation"] + test
    tokens = words * (changes * rows / 2 * folds + examples)
    return Cost(examples, tokens, 2 * float(stage.run["model"]["params"]) * tokens)


def total(stages: Iterable[Stage]) -> Cost:
    return sum((cost(stage) for stage in stages), Cost())


def _sizes(dataset: Json) -> tuple[float, float]:
    """Training and test examples."""
    n = float(dataset["n_train"] or UNKNOWN_EXAMPLES)
    if dataset["test_split"] is None:
        return n * (1 - dataset["test"]), n * dataset["test"]
    return n, float(dataset["n_test"] or UNKNOWN_EXAMPLES / 5)
