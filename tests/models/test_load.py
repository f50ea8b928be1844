"""Loading: the weights of the folder and nothing else, the layers asked for, and errors that say what to do."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    OPTConfig,
    RobertaConfig,
)
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from tests.tiny import byte_tokenizer, sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError
from w2s_sweep.models.load import load_backbone, read_shape
from w2s_sweep.sources.weights import longest, matrices, positions

BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox, "bert": tiny_bert}
DECODERS = ("llama", "gpt2", "neox")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name), layers=3) for name, build in BUILDERS.items()}


@pytest.fixture
def llama(folders, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(folders["llama"], tmp_path / "llama")


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_backbone_knows_its_shape(folders, name):
    backbone = load_backbone(folders[name])
    assert (backbone.layers, backbone.hidden, backbone.is_decoder) == (3, 32, name in DECODERS)
    assert len(backbone.blocks) == 3
    assert backbone.positions == (64 if name in ("gpt2", "bert") else None)
    assert backbone.tied == (name != "neox")
    assert not backbone.module.training
    assert {parameter.dtype for parameter in backbone.module.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", DECODERS)
def test_unembedding_rows_give_the_logits_of_the_language_model(folders, name):
    backbone = load_backbone(folders[name])
    ids, mask = pad(backbone.tokens(sentences(4), 16), backbone.pad_id)
    words = [7, 300, 11]
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folders[name])(ids, attention_mask=mask).logits[..., words]
        hidden = backbone.module(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close((hidden @ backbone.unembedding(words).T)[mask == 1], expected[mask == 1])


@pytest.mark.parametrize("name", BUILDERS)
def test_keep_layers_keeps_the_first_blocks_unchanged(folders, name):
    whole, first = load_backbone(folders[name]), load_backbone(folders[name], keep_layers=2)
    assert (first.layers, len(first.blocks)) == (2, 2)
    expected = whole.module.state_dict()
    state = first.module.state_dict()
    assert set(state) < set(expected)
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def test_keeping_more_layers_than_there_are_is_refused(folders):
    with pytest.raises(ModelError, match=r"keep_layers: 4, but .* has 3 layers. Use 1 to 3"):
        load_backbone(folders["llama"], keep_layers=4)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_dropout_replaces_every_probability_of_the_model(folders, name):
    for probability in (0.0, 0.3):
        module = load_backbone(folders[name], dropout=probability).module
        found = {inner.p for inner in module.modules() if isinstance(inner, torch.nn.Dropout)}
        assert found == {probability}


def test_weights_that_are_missing_are_an_error_and_never_random(llama):
    state = load_file(llama / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, llama / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 weights of LlamaModel, such as layers.1.mlp.up_proj.weight"):
        load_backbone(llama)
    assert load_backbone(llama, keep_layers=1).layers == 1


def test_pickled_weights_are_never_loaded(llama):
    state = load_file(llama / "model.safetensors")
    torch.save(state, llama / "pytorch_model.bin")
    (llama / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no .safetensors file.*pickles"):
        load_backbone(llama)


def test_code_that_comes_with_a_model_is_never_run(llama):
    (llama / "evil.py").write_text("raise SystemExit('ran')\n")
    edit_config(llama, model_type="evilnet", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    with pytest.raises(ModelError, match=r"unknown name 'evilnet'.*is never run"):
        load_backbone(llama)
    edit_config(llama, model_type="llama")
    assert load_backbone(llama).layers == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "not a folder"),
        (lambda f: (f / "config.json").unlink(), r"no config.json \(found .*model.safetensors"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: edit_config(f, model_type="lama"), "Did you mean 'llama'"),
        (lambda f: edit_config(f, model_type="t5"), "neither a causal nor a masked language model"),
        (lambda f: edit_config(f, model_type="clip_vision_model"), "neither a causal nor a masked language model"),
        (lambda f: edit_config(f, hidden_size=48), "weights cannot be loaded"),
        (lambda f: (f / "model.safetensors").write_bytes(b"half"), "weights cannot be loaded"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "holds no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer cannot be loaded"),
    ],
)
def test_a_damaged_folder_is_explained(llama, damage, message):
    damage(llama)
    with pytest.raises(ModelError, match=message):
        load_backbone(llama)


def test_more_tokens_than_positions_are_refused(folders):
    gpt2 = load_backbone(folders["gpt2"])
    with pytest.raises(
        ModelError, match=r"max_tokens: 70 lets a text of 66 tokens through, more than the 64 positions"
    ):
        gpt2.tokens(["good", " good" * 66], 70)
    assert gpt2.tokens(["good"], 6500)
    assert load_backbone(folders["llama"]).tokens([" good" * 66], 6500)


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
def test_what_files_say_of_a_model_is_what_loading_finds(folders, name):
    backbone = load_backbone(folders[name])
    assert positions(folders[name]) == backbone.positions
    texts = ["good film", " good" * 30, " bad" * 29]
    assert longest(folders[name], texts, 10) == max(len(ids) for ids in backbone.tokenizer(texts)["input_ids"])
    linear = {
        module for module, inner in backbone.module.named_modules() if isinstance(inner, torch.nn.Linear | Conv1D)
    }
    ends = {module.rsplit(".", 1)[-1] for module in linear}
    assert ends <= {module.rsplit(".", 1)[-1] for module in matrices(folders[name])}


@pytest.mark.parametrize(("kind", "config"), [("roberta", RobertaConfig), ("opt", OPTConfig)])
def test_rows_of_a_position_table_that_stand_for_no_position_do_not_count(tmp_path, kind, config):
    size = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "vocab_size": 20}
    size |= {"ffn_dim": 16, "word_embed_proj_dim": 16} if kind == "opt" else {"intermediate_size": 16}
    AutoModel.from_config(config(max_position_embeddings=34, **size)).save_pretrained(tmp_path)
    assert positions(tmp_path) == (34 if kind == "opt" else 32)


def test_a_tokenizer_of_another_model_is_refused(folders, llama):
    state = load_file(llama / "model.safetensors")
    state["model.embed_tokens.weight"] = state["model.embed_tokens.weight"][:50].contiguous()
    save_file(state, llama / "model.safetensors", metadata={"format": "pt"})
    edit_config(llama, vocab_size=50)
    with pytest.raises(ModelError, match="belongs to another model"):
        load_backbone(llama).tokens(["good film"], 8)


def test_the_text_part_of_a_multimodal_model_is_used(tmp_path):
    text = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    text |= {"intermediate_size": 64, "vocab_size": 400, "pad_token_id": 0, "use_bidirectional_attention": False}
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    vision |= {"image_size": 28, "patch_size": 14}
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1, image_token_index=399)
    )
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    backbone = load_backbone(tmp_path, keep_layers=2)
    assert (backbone.layers, len(backbone.blocks), backbone.is_decoder, backbone.tied) == (2, 2, True, True)
    assert torch.equal(backbone.embedding, model.model.language_model.embed_tokens.weight)


@pytest.mark.parametrize("name", ["llama", "neox"])
@pytest.mark.parametrize("adapted", [False, True])
def test_rows_of_the_head_are_where_the_states_are(folders, name, adapted):
    """A head of its own is read from disk, or was trained: prompting multiplied CUDA states by rows on the CPU."""
    backbone = load_backbone(folders[name])
    if adapted:
        backbone = replace(backbone, tied=False, head=backbone.unembedding(range(len(backbone.embedding))))
    expected = backbone.unembedding([5, 7])
    assert expected.shape == (2, backbone.hidden)
    backbone.to(torch.device("meta"))
    assert backbone.unembedding([5, 7]).device.type == "meta"


def test_the_activation_of_gpt2_is_one_kernel_with_the_same_values(folders):
    module = load_backbone(folders["gpt2"]).module
    assert {type(block.mlp.act).__name__ for block in module.h} == {"GELUTanh"}
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(module.h[0].mlp.act(x), ACT2FN["gelu_new"](x), atol=1e-6, rtol=1e-5)


def test_the_shape_is_that_of_the_loaded_model(folders):
    for name, folder in folders.items():
        for keep in (None, 2):
            shape, backbone = read_shape(folder, keep), load_backbone(folder, keep_layers=keep)
            assert (shape.layers, shape.is_decoder) == (backbone.layers, backbone.is_decoder), name
