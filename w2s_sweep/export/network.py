"""The network that a trained stage left, in memory: the published model with what training changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from w2s_sweep.errors import ModelError
from w2s_sweep.export.trained import Trained
from w2s_sweep.kinds.recipes import LoraRecipe, quantise_of
from w2s_sweep.kinds.training import Finetune
from w2s_sweep.models.adapted import add_products, load_model
from w2s_sweep.models.backbone import Backbone, pad_id
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.lora import add_lora, restore, trainable
from w2s_sweep.models.nf4 import round_to_nf4, to_nf4

TRANSFORMER = "transformer."
"""How names of weights of the model itself begin in a stage's file; the others are of the head."""


@dataclass(frozen=True)
class Head:
    """A linear layer on what a model makes of a text."""

    weight: Tensor
    """float32 [outputs, width]; one output is a reward."""
    bias: Tensor | None
    """float32 [outputs]; None where there is none."""

    @property
    def outputs(self) -> int:
        return len(self.weight)

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})


def require_head(settings: Finetune) -> None:
    """ModelError for an implicit reward, which has no head."""
    if settings.reward == "implicit":
        raise ModelError(
            "this stage has an implicit reward: a text's probability after training beside that before, which no "
            "classification model computes. Train with finetune.reward=head for one that can be taken out."
        )


def base_backbone(trained: Trained, keep_layers: int | None, dtype: torch.dtype = torch.float32) -> Backbone:
    """The model that the stage began from, on the CPU."""
    return load_model(trained.model_folder, trained.adapted, keep_layers=keep_layers, dtype=dtype)


def stored_state(path: Path) -> tuple[dict[str, Tensor], Head]:
    """What a fine-tuning stage stored: the weights of the transformer by their names in it, and its head."""
    state = load_file(path)
    head = Head(state["head.weight"], state.get("head.bias"))
    weights = {k.removeprefix(TRANSFORMER): v for k, v in state.items() if k.startswith(TRANSFORMER)}
    return weights, head


def merged_backbone(trained: Trained, settings: Finetune) -> tuple[Backbone, Head]:
    """The model as plain weights, adapters added into them, and its head; float32 on the CPU."""
    require_head(settings)
    weights, head = stored_state(trained.weights)
    recipe = settings.finetune
    quantised = quantise_of(recipe) == "nf4"
    backbone = base_backbone(
        trained, settings.keep_layers, frozen_as_trained(trained.summary) if quantised else torch.float32
    )
    if quantised:  # what was rounded to bf16 first has other 4 bits
        round_to_nf4(backbone)
        for weight in backbone.module.parameters():
            weight.data = weight.data.float()
    with torch.no_grad():
        if isinstance(recipe, LoraRecipe):
            add_products(backbone.module, weights, recipe.alpha / recipe.rank)
        else:
            restore(dict(backbone.module.named_parameters()), weights, "stored weights")
    return backbone, head


def frozen_as_trained(summary: Mapping[str, Any]) -> torch.dtype:
    """Of the weights below the adapters of a stage where it ran, as `models.device.frozen_dtype` had them there."""
    half = summary.get("products") == "bf16" and summary.get("device") == "cuda"
    return torch.bfloat16 if half else torch.float32


def load_classifier(trained: Trained, settings: Finetune, dtype: torch.dtype) -> Classifier:
    """The model as it was when the stage ended, adapters beside the weights; `dtype` of weights that did not train."""
    require_head(settings)
    state, recipe = load_file(trained.weights), settings.finetune
    lora = isinstance(recipe, LoraRecipe)
    backbone = base_backbone(trained, settings.keep_layers, dtype if lora else torch.float32)
    if quantise_of(recipe) == "nf4":
        to_nf4(backbone)
    model = Classifier(backbone, classes=len(state["head.weight"]), pooling=settings.pooling)
    if lora:
        add_lora(
            model, rank=recipe.rank, alpha=recipe.alpha, targets=recipe.targets, seed=settings.seed, dora=recipe.dora
        )
    restore(trainable(model), state, "stored weights")
    nn.Module.eval(model)
    return model


def prepared_tokenizer(backbone: Backbone, max_tokens: int) -> PreTrainedTokenizerBase:
    """The tokenizer as its texts were read: cut on the left, padded on the right, with a token for padding."""
    tokenizer = backbone.tokenizer
    if tokenizer.pad_token_id is None:
        spare = tokenizer.eos_token or tokenizer.bos_token
        tokenizer.pad_token = spare or tokenizer.convert_ids_to_tokens(pad_id(tokenizer, len(backbone.embedding)))
    tokenizer.truncation_side, tokenizer.padding_side, tokenizer.model_max_length = "left", "right", max_tokens
    return tokenizer
