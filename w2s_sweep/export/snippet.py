"""The few lines that load an export with nothing but transformers, peft, safetensors and torch. They stand in its
README, and are what the export is checked with."""

from collections.abc import Iterator
from pathlib import Path

from w2s_sweep.export.forms import Form


def snippet(form: Form, folder: Path) -> str:
    """Python that defines `logits(texts)`: float32 [texts, outputs]."""
    return "\n".join([*_imports(form), "", *_load(form, folder), "", *_function(form)]) + "\n"


def _imports(form: Form) -> Iterator[str]:
    yield "import torch"
    if form.adapter:
        yield "from peft import PeftModel"
    if form.loads != "sequence" or (form.bias and not form.adapter):
        yield "from safetensors.torch import load_file"
    yield f"from transformers import {_auto(form)}, AutoTokenizer"


def _auto(form: Form) -> str:
    return "AutoModelForSequenceClassification" if form.loads == "sequence" else "AutoModel"


def _load(form: Form, folder: Path) -> Iterator[str]:
    yield f"folder = {str(folder)!r}  # where this README lies"
    yield "tokenizer = AutoTokenizer.from_pretrained(folder)"
    yield f"model = {_auto(form)}.from_pretrained({', '.join(_arguments(form, folder))})"
    if form.loads == "sequence" and form.adapter:
        yield "model.config.pad_token_id = tokenizer.pad_token_id"
    if form.bias and form.adapter:
        yield f"model.score = torch.nn.Linear(model.score.in_features, {form.outputs})  # transformers' own has no bias"
    if form.bias and not form.adapter:
        yield 'bias = load_file(f"{folder}/head.safetensors")["bias"]'
        yield "model.score.bias = torch.nn.Parameter(bias)  # transformers' own head has none"
    if form.adapter:
        yield "model = PeftModel.from_pretrained(model, folder)"
    yield "model.eval()"
    if form.loads == "backbone":
        yield 'head = load_file(f"{folder}/head.safetensors")'
    if form.loads == "probe":
        yield 'probe = load_file(f"{folder}/probe.safetensors")'
        if form.block is not None:
            yield "states = []"
            yield f"model.get_submodule({form.block!r}).register_forward_hook("
            yield "    lambda block, inputs, output: states.append(output[0] if isinstance(output, tuple) else output)"
            yield ")"


def _arguments(form: Form, folder: Path) -> Iterator[str]:
    yield "folder" if form.weights == str(folder) else repr(form.weights)
    if form.revision is not None:
        yield f"revision={form.revision!r}"
    if form.layers is not None:
        yield f"num_hidden_layers={form.layers}"
    if form.loads == "sequence" and form.adapter:
        yield f"num_labels={form.outputs}"
    yield "dtype=torch.float32"


def _function(form: Form) -> Iterator[str]:
    yield "def logits(texts):"
    if form.stand_in is not None:
        yield f"    texts = [text or {form.stand_in!r} for text in texts]  # no text is read as nothing"
    yield '    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")'
    yield '    ids, mask = batch["input_ids"], batch["attention_mask"]'
    yield "    with torch.no_grad():"
    if form.loads == "sequence":
        yield "        return model(input_ids=ids, attention_mask=mask).logits"
        return
    if form.loads == "probe" and form.block is None:
        yield "        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)"
        yield "    hidden = out.hidden_states[0]"
    elif form.loads == "probe":
        yield "        model(input_ids=ids, attention_mask=mask)"
        yield "    hidden = states.pop()"
    else:
        yield "        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state"
    yield from _pool(form)
    if form.loads == "probe":
        yield '    pooled = ((pooled.double() - probe["mean"]) / probe["scale"]).float()'
    name = "probe" if form.loads == "probe" else "head"
    yield f'    return torch.nn.functional.linear(pooled, {name}["weight"], {name}.get("bias"))'


def _pool(form: Form) -> Iterator[str]:
    if form.pooling == "last":
        yield "    pooled = hidden[torch.arange(len(ids)), mask.sum(1) - 1]"
        return
    if form.skip_first:
        yield "    mask = mask.clone()"
        yield "    mask[mask.sum(1) > 1, 0] = 0  # the first token is an attention sink"
    yield "    pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)"
