"""Folders that transformers and PEFT load: a whole model with its head, an adapter with its head, a probe.

A form is exact or it says what its loader has to add: transformers' classifiers of decoders read the last token that is
no padding with a head without a bias, and those of encoders read [CLS] through a layer that was never trained here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
from transformers.pytorch_utils import Conv1D

from w2s_sweep.config.finetune import takes_all_linear
from w2s_sweep.config.source import AdapterSource, HubSource
from w2s_sweep.errors import ModelError
from w2s_sweep.export.network import (
    Head,
    base_backbone,
    merged_backbone,
    prepared_tokenizer,
    require_head,
    stored_state,
)
from w2s_sweep.export.trained import Trained
from w2s_sweep.kinds.forward import Features
from w2s_sweep.kinds.recipes import LoraRecipe
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.models.adapted import MAGNITUDE
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.features import feature_layer
from w2s_sweep.models.readout import Pooling
from w2s_sweep.predictions import HEAD

PROBE = "probe.safetensors"
FINAL_NORMS = ("ln_f", "final_layer_norm", "final_layernorm", "norm")
LARGEST_SHIFT = 100.0
"""Largest entry of a shift of the final norm that stands for a bias: beyond it float32 loses digits of the logits."""


@dataclass(frozen=True)
class Form:
    """How what was written is loaded."""

    loads: str
    """`sequence`: as transformers' sequence classifier; `backbone`: a model, and a head beside it; `probe`."""
    weights: str
    """What names the model's weights for `from_pretrained`."""
    revision: str | None = None
    """Commit of these weights on the hub."""
    adapter: bool = False
    """Whether the folder holds an adapter for those weights."""
    bias: bool = False
    """`sequence`: whether the head has a bias that the class of transformers lacks."""
    outputs: int = 2
    pooling: Pooling = "last"
    skip_first: bool = False
    """Whether a mean leaves out the first token."""
    block: str | None = None
    """Probe: dotted name of the block whose output it reads; None is what enters the first one."""
    layers: int | None = None
    """Blocks that are kept of the weights; None is all."""
    stand_in: str | None = None
    """What an empty text is read as."""


def write_whole(trained: Trained, settings: Finetune, names: Sequence[str] | None, folder: Path) -> Form:
    """All weights, adapters added into them, with the head as the sequence classifier of transformers where that
    computes the same, else beside them."""
    backbone, head = merged_backbone(trained, settings)
    tokenizer = _save_tokenizer(backbone, settings.max_tokens, folder)
    config = backbone.module.config
    _describe(config, tokenizer, names, head.outputs)
    common: dict[str, Any] = {"weights": str(folder), "stand_in": _stand_in(tokenizer)}
    classifier = _sequence_classifier(backbone, tokenizer, settings.pooling)
    if classifier is None:
        backbone.module.save_pretrained(folder)
        save_file(head.tensors(), folder / HEAD)
        return _backbone_form(backbone, settings.pooling, head, **common)
    setattr(classifier, classifier.base_model_prefix, backbone.module)
    bias = None if head.bias is None or _fold(backbone.module, head) else head.bias
    classifier.score = _linear(head.weight, bias)
    classifier.save_pretrained(folder)
    if bias is not None:  # in the model too, so that who loads it without the head is told of weights that are unused
        save_file(head.tensors(), folder / HEAD)
    return Form("sequence", outputs=head.outputs, bias=bias is not None, **common)


def write_adapter(trained: Trained, settings: Finetune, recipe: LoraRecipe, folder: Path) -> Form:
    """A PEFT adapter. Where the sequence classifier of transformers reads texts the same way, it is on that and
    replaces its head; else it is on the plain model, with the head beside it. ModelError where its base is published
    nowhere."""
    require_head(settings)
    if trained.adapted is not None:
        raise ModelError(
            "the adapter belongs on weights that were adapted to the task's texts first, which are published nowhere. "
            "Add --whole, which writes all weights."
        )
    if recipe.quantise != "none":
        raise ModelError(
            f"the adapter was trained on weights in 4 bits (finetune.quantise={recipe.quantise}), and on the published "
            "ones it predicts otherwise. Add --whole, which writes all weights as it was trained on them."
        )
    weights, head = stored_state(trained.weights)
    backbone = base_backbone(trained, settings.keep_layers)
    tokenizer = _save_tokenizer(backbone, settings.max_tokens, folder)
    classifier = _sequence_classifier(backbone, tokenizer, settings.pooling)
    base, revision = _base(trained, backbone)
    inner = "" if classifier is None else f"{classifier.base_model_prefix}."
    state = {f"base_model.model.{inner}{_as_peft_saves(k)}": v for k, v in weights.items()}
    if classifier is None:
        save_file(head.tensors(), folder / HEAD)
    else:
        state |= {f"base_model.model.score.{name}": value for name, value in head.tensors().items()}
    save_file(state, folder / "adapter_model.safetensors", {"format": "pt"})
    LoraConfig(
        task_type="FEATURE_EXTRACTION" if classifier is None else "SEQ_CLS",
        base_model_name_or_path=base,
        revision=revision,
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # pyright: ignore[reportArgumentType] - a ratio, any number will do
        target_modules=_modules(weights) if takes_all_linear(recipe.targets) else list(recipe.targets),
        use_dora=recipe.dora,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in backbone.module.modules()),
        modules_to_save=None if classifier is None else ["score"],
        inference_mode=True,
    ).save_pretrained(str(folder))
    common: dict[str, Any] = {
        "weights": base,
        "revision": revision,
        "adapter": True,
        "layers": settings.keep_layers,
        "stand_in": _stand_in(tokenizer),
    }
    if classifier is None:
        return _backbone_form(backbone, settings.pooling, head, **common)
    return Form("sequence", outputs=head.outputs, bias=head.bias is not None, **common)


def _as_peft_saves(name: str) -> str:
    """The name of a stored tensor in a file of PEFT's, which leaves out the adapter's name and `weight` of DoRA's."""
    return name.replace(".default.", ".").removesuffix(".weight" if MAGNITUDE in name else "")


def _modules(weights: Mapping[str, Tensor]) -> list[str]:
    """The adapted modules. PEFT's word for all of them would put some into a pooler, or a head, of its own class."""
    return [name.partition(".lora_A.")[0] for name in weights if ".lora_A." in name]


def write_probe(trained: Trained, features: Features, folder: Path, *, whole: bool) -> Form:
    """Weight, bias, mean and scale of a probe; with `whole` also the blocks of the model below it."""
    assert isinstance(trained.settings, Probe)
    state = load_file(trained.weights)
    save_file(state, folder / PROBE)
    backbone = base_backbone(trained, features.keep_layers)
    layer = feature_layer(backbone, features.feature_layer)
    tokenizer = _save_tokenizer(backbone, features.max_tokens, folder)
    blocks = next(name for name, inner in backbone.module.named_modules() if inner is backbone.blocks)
    if whole:
        backbone.module.save_pretrained(folder)
    elif trained.adapted is not None:
        raise ModelError("the probe reads weights that are published nowhere. Add --whole, which writes them too.")
    base, revision = (str(folder), None) if whole else _base(trained, backbone)
    return Form(
        "probe",
        weights=base,
        revision=revision,
        outputs=len(state["weight"]),
        pooling=features.pooling,
        skip_first=backbone.is_decoder,
        block=f"{blocks}.{layer - 1}" if layer else None,
        layers=None if whole else features.keep_layers,
        stand_in=_stand_in(tokenizer),
    )


def _base(trained: Trained, backbone: Backbone) -> tuple[str, str | None]:
    """What names the published weights for `from_pretrained`: the hub's repository and commit, else their folder.

    ModelError where they are an adapter on its base, which no name loads together.
    """
    if isinstance(trained.source, AdapterSource):
        raise ModelError(
            f"the stage began from the adapter in {trained.source.path} on its base, and transformers would load the "
            "base alone. Add --whole, which writes all weights."
        )
    if isinstance(trained.source, HubSource):
        return trained.source.repository, str(trained.opens.weights["commit"])
    return str(backbone.folder), None


def _save_tokenizer(backbone: Backbone, max_tokens: int, folder: Path) -> PreTrainedTokenizerBase:
    tokenizer = prepared_tokenizer(backbone, max_tokens)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"  # which leaves out what was set after the tokenizer was loaded
    config = json.loads(path.read_text())
    sides = {"truncation_side": "left", "padding_side": "right", "model_max_length": max_tokens}
    path.write_text(json.dumps(config | sides, indent=2, ensure_ascii=False) + "\n")
    return tokenizer


def _describe(config: Any, tokenizer: PreTrainedTokenizerBase, names: Sequence[str] | None, outputs: int) -> None:
    """Names of the classes, padding and caching, for whoever loads the model."""
    config.id2label = dict(enumerate(names)) if names and outputs > 1 else {i: f"LABEL_{i}" for i in range(outputs)}
    config.label2id = {name: i for i, name in config.id2label.items()}
    config.pad_token_id = tokenizer.pad_token_id
    config.use_cache = True


def _stand_in(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What stands for an empty text; None where the tokenizer makes tokens of it."""
    if tokenizer("")["input_ids"]:
        return None
    known: Any = tokenizer
    return known.bos_token or known.eos_token or known.pad_token


def _sequence_classifier(backbone: Backbone, tokenizer: PreTrainedTokenizerBase, pooling: Pooling) -> Any | None:
    """An empty sequence classifier of transformers that reads texts as we do; None where there is none."""
    config = backbone.module.config
    ends = tokenizer("a")["input_ids"][-1:] == [tokenizer.pad_token_id]  # it would take the token before for the last
    if (
        pooling != "last"
        or not backbone.is_decoder
        or ends
        or type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    ):
        return None
    with torch.device("meta"):
        known: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
        made: PreTrainedModel = known(config)
    score, inner = getattr(made, "score", None), getattr(made, made.base_model_prefix, None)
    fits = (
        isinstance(score, nn.Linear) and getattr(score, "bias", None) is None and type(inner) is type(backbone.module)
    )
    return made if fits else None


def _fold(module: nn.Module, head: Head) -> bool:
    """Move the head's bias into that of the final norm, where there is one: W (h + d) = W h + b. Whether it worked."""
    assert head.bias is not None
    norms = [inner for name in FINAL_NORMS if isinstance(inner := getattr(module, name, None), nn.LayerNorm)]
    if not norms or getattr(norms[0], "bias", None) is None:
        return False
    weight, bias = head.weight.double(), head.bias.double()
    shift = torch.linalg.pinv(weight) @ bias
    if shift.abs().max() > LARGEST_SHIFT or not torch.allclose(weight @ shift, bias, atol=1e-7):
        return False
    with torch.no_grad():
        norms[0].bias += shift.to(norms[0].bias)
    return True


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight)
    if bias is not None:
        made.bias = nn.Parameter(bias)
    return made


def _backbone_form(backbone: Backbone, pooling: Pooling, head: Head, **common: Any) -> Form:
    return Form("backbone", outputs=head.outputs, pooling=pooling, skip_first=backbone.is_decoder, **common)
