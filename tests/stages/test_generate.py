"""Generation: the loss is the likelihood of the answer, decoding is greedy and the same in every batch, a supervisor's
texts are what its student learns, and a stopped stage ends bit for bit like an undisturbed one."""

import dataclasses
import json
import random
import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.again import alone, stopped_and_resumed
from tests.command import launch, sweep_record
from tests.setups import cell
from tests.tiny import WORDS, sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.config.finetune import Probe
from w2s_sweep.errors import DataError, ModelError
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.models.decode import greedy, text_after
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.predictions import read_predictions
from w2s_sweep.runner.pack import run_pack
from w2s_sweep.stages import generate
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.training.answers import answers_of
from w2s_sweep.training.gradient import Step, backward
from w2s_sweep.training.likelihood import NegativeLogLikelihood, SequenceLearner

DECODERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox}
ROWS = 24


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in DECODERS.items()}


def sequences(vocabulary):
    """Token sequences, and where the answer in each begins."""
    draw = np.random.default_rng(0)
    tokens = [draw.integers(0, vocabulary, size=draw.integers(3, 20)).tolist() for _ in range(ROWS)]
    return tokens, [int(draw.integers(1, len(ids))) for ids in tokens]


def learner(folder, token_budget=10**6):
    model = LanguageModel(load_backbone(folder))
    return SequenceLearner(model, *sequences(len(model.unembedding)), "fp32", token_budget)


def gradients(one):
    value = backward(Step(one, range(ROWS), torch.ones(ROWS, 1), NegativeLogLikelihood(), 0.0))
    return value, {name: p.grad for name, p in one.trainable().items() if p.grad is not None}


@pytest.mark.parametrize("name", DECODERS)
def test_the_loss_is_the_mean_negative_log_likelihood_of_the_answers(folders, name):
    value, slopes = gradients(learner(folders[name]))
    whole = AutoModelForCausalLM.from_pretrained(folders[name])
    total = torch.zeros(())
    for ids, start in zip(*sequences(whole.config.vocab_size), strict=True):
        log_probs = whole(torch.tensor([ids])).logits[0].log_softmax(-1)
        total = total - sum(log_probs[place - 1, ids[place]] for place in range(start, len(ids))) / ROWS
    total.backward()
    assert value == pytest.approx(float(total.detach()), rel=1e-5)
    names = {"head"} & slopes.keys()
    assert bool(names) == (name == "neox")
    head = whole.get_output_embeddings().weight.grad
    ours = slopes["head"] if names else learner_embedding(slopes)
    torch.testing.assert_close(ours, head, rtol=1e-3, atol=1e-5)


def learner_embedding(slopes):
    return next(slope for name, slope in slopes.items() if name.endswith(("embed_tokens.weight", "wte.weight")))


@pytest.mark.parametrize("budget", [40, 1])
def test_gradients_do_not_depend_on_the_micro_batch(folders, budget):
    whole, split = gradients(learner(folders["neox"])), gradients(learner(folders["neox"], budget))
    assert split[0] == pytest.approx(whole[0], rel=1e-5)
    assert split[1].keys() == whole[1].keys()
    for name, slope in whole[1].items():
        torch.testing.assert_close(split[1][name], slope, rtol=1e-3, atol=1e-5)


def test_an_encoder_cannot_generate(tmp_path):
    with pytest.raises(ModelError, match="it is an encoder"):
        LanguageModel(load_backbone(tiny_bert(tmp_path)))


def step_by_step(whole, prompt, most, end):
    """Greedy decoding as it is defined: the whole text goes through the whole model for every token."""
    new = []
    while len(new) < most:
        with torch.no_grad():
            (first, second), (token, _) = (
                t.tolist() for t in whole(torch.tensor([[*prompt, *new]])).logits[0, -1].topk(2)
            )
        assert first - second > 1e-3, "so near a tie rounding decides, which differs between batch shapes"
        if token == end:
            break
        new.append(token)
    return new


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_decoding_takes_the_likeliest_token_whatever_else_is_in_the_batch(folders, name):
    model = LanguageModel(load_backbone(folders[name]))
    prompts = model.backbone.tokens(sentences(9, most=4), 16)
    free = greedy(model, prompts, most=6, end=-1, precision="fp32")
    assert all(len(new) == 6 for new in free)
    end = free[0][3]
    together = greedy(model, prompts, most=6, end=end, precision="fp32")
    whole = AutoModelForCausalLM.from_pretrained(folders[name])
    assert together == [step_by_step(whole, ids, 6, end) for ids in prompts]
    assert len(together[0]) < 6
    alone = [greedy(model, [ids], most=6, end=end, precision="fp32")[0] for ids in prompts]
    assert greedy(model, prompts[::-1], most=6, end=end, precision="fp32", token_budget=30)[::-1] == alone == together


def test_the_text_of_an_answer_keeps_its_blank(folders):
    tokenizer = load_backbone(folders["llama"]).tokenizer
    prompt, new = tokenizer("a good")["input_ids"], tokenizer(" film was")["input_ids"]
    assert text_after(tokenizer, prompt, new) == " film was"
    assert text_after(tokenizer, prompt, [*new, tokenizer.eos_token_id]) == " film was"
    assert text_after(tokenizer, prompt, []) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"finetune": Probe()}, "finetune: probe, but chess_moves is a generation task"),
        ({"loss": Confidence()}, "loss: confidence, but .* Use loss=xent"),
        ({"method": Ensemble()}, "method: ensemble, but .* method=naive, reasoning, bootstrapping"),
        ({"metric": "auroc"}, "metric: auroc, but .* Use accuracy"),
    ],
)
def test_what_needs_classes_is_refused_for_a_generation_task(change, words):
    chess = dataclasses.replace(cell().dataset, task="chess_moves")
    assert problems_of(cell(dataset=chess)) == []
    assert problems_of(cell(**change)) == []
    (problem,) = problems_of(cell(dataset=chess, **change))
    assert re.search(words, problem)


def test_a_training_row_without_a_text_of_its_supervisor_is_an_error(tmp_path):
    rows = SimpleNamespace(ids=np.array(["a", "b", "c"], dtype=object), targets=[" x", " y", " z"])
    pq.write_table(pa.table({"id": ["c", "a"], "text": [" p", ""]}), tmp_path / "generated.parquet")
    assert answers_of(rows, None, [1, 2], "it") == {1: " y", 2: " z"}
    assert answers_of(rows, tmp_path, [0, 2], "it") == {0: "", 2: " p"}
    with pytest.raises(DataError, match="it: 1 of 2 training rows have no text"):
        answers_of(rows, tmp_path, [0, 1], "it")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A sweep on a task that a tiny model can learn: write the word before the last one again. The ceiling learns it
    entirely and the supervisor is too narrow to, by far, so that no rounding decides what the tests ask."""
    folder = tmp_path_factory.mktemp("toy")
    draw, texts = random.Random(0), dict[str, str]()
    while len(texts) < 600:
        noun = draw.choice(WORDS[10:18])
        texts[" ".join(draw.choices(WORDS[:10], k=draw.randint(2, 4))) + f" {noun} is"] = noun
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps({"ctx": text, "target": noun}) + "\n" for text, noun in texts.items())
    weak = tiny_llama(folder / "weak", layers=2, hidden=8, seed=1)
    strong = tiny_llama(folder / "strong", layers=2, hidden=32, seed=2)
    store = folder / "store"
    status, out, err = launch(
        f"store={store}", f"weak.path={weak}", "weak.name=w", f"strong.path={strong}", "strong.name=s",
        "finetune.early_stopping=weak", "finetune.evaluations=2",
        "dataset=chess_moves", f"dataset.path={folder / 'rows.jsonl'}", "dataset.n_train=null", "dataset.test=0.25",
        "dataset.validation=0.1", "dataset.max_tokens=24", "finetune=full", "finetune.lr=0.01", "finetune.epochs=12",
        "threads=1", "tracker=none",
    )  # fmt: skip
    assert status == 0, err
    record = sweep_record(store)
    return SimpleNamespace(store=Store(store), out=out, roles=record["cells"][0]["roles"], texts=texts)


def stage_of(toy, role):
    return toy.store.path(toy.roles[role])


def texts_of(toy, role):
    table = pq.read_table(stage_of(toy, role) / "generated.parquet")
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


@pytest.mark.slow
def test_a_tiny_model_learns_the_task_and_writes_the_targets(toy):
    ceiling = read_predictions(stage_of(toy, "ceiling") / "predictions.parquet")
    assert (ceiling.on("test").probs.argmax(1) == 1).mean() > 0.95
    assert (ceiling.truth == 1).all()
    targets = dict(zip(*(_examples(toy)[name].to_pylist() for name in ("id", "target")), strict=True))
    written = texts_of(toy, "ceiling")
    assert [written[i].strip() == targets[i].strip() for i in ceiling.ids] == (ceiling.probs[:, 1] == 1).tolist()
    summary = read_json(stage_of(toy, "ceiling") / "summary.json")
    assert summary["accuracy/test"] == (ceiling.on("test").probs[:, 1] == 1).mean()
    assert summary["auroc/test"] is None
    assert summary["best step"] in (42, 84)  # of 84
    assert summary["evaluated against"] == "truth"
    assert read_json(stage_of(toy, "student") / "summary.json")["evaluated against"] == "labels"
    assert "1 of 1 cells" in toy.out


def _examples(toy):
    (path,) = (toy.store.root / "stages").glob("*/examples.parquet")
    return pq.read_table(path)


@pytest.mark.slow
def test_the_student_learns_what_its_supervisor_wrote(toy):
    weak, student = (read_predictions(stage_of(toy, r) / "predictions.parquet") for r in ("weak", "student"))
    right = dict(zip(weak.ids, weak.probs[:, 1], strict=True))
    trained = ~np.isnan(student.seen).any(1)
    assert set(student.splits[trained]) == {"half_b"}
    assert [right[i] for i in student.ids[trained]] == student.seen[trained, 1].tolist()
    assert 0 < student.seen[trained, 1].mean() < 1
    theirs, ours = texts_of(toy, "weak"), texts_of(toy, "student")
    wrong = [i for i in student.ids[trained] if right[i] == 0]
    same = [ours[i].split()[:1] == theirs[i].split()[:1] for i in wrong]
    assert np.mean(same) > 0.3  # of wrong texts; a model of the truth would share none of them


@pytest.mark.slow
def test_what_is_written_is_kept_when_a_stage_is_stopped_while_it_writes(toy, tmp_path, monkeypatch):
    """Else one whose writing takes longer than its time limit would never end."""
    calls, plain = [], generate.greedy

    def greedy(model, prompts, **how):
        calls.append(len(prompts))
        return plain(model, prompts, **how)

    key = toy.roles["ceiling"]
    pack = alone(toy.store, key, tmp_path)
    monkeypatch.setattr(generate, "CHUNK", 100)
    monkeypatch.setattr(generate, "greedy", greedy)
    evaluations = 2  # of early stopping, which are calls too
    assert run_pack(pack, lambda: len(calls) == evaluations + 2)[key] == "preempted"
    first, calls[:] = calls[evaluations:], []
    assert run_pack(pack, lambda: False)[key] == "done"
    assert first == [100, 100]
    there = stage_of(toy, "ceiling") / "generated.parquet"
    assert sum(calls[evaluations:]) <= pq.read_table(there).num_rows - 100
    assert (pack.store.path(key) / there.name).read_bytes() == there.read_bytes()


TIGHT = '''"""The second process runs out of memory while it writes the second part of the texts."""
import os
import torch
from w2s_sweep.stages import generate

plain, calls = generate.greedy, []
generate.CHUNK = 100


def greedy(model, prompts, **how):
    rank, halved = os.environ["W2S_RANK"], os.environ["W2S_HALVED"]
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{rank} {halved} {len(prompts)}\\n")
    calls.append(len(prompts))
    if (rank, halved) == ("1", "0") and calls[-2:] == [100, 100]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return plain(model, prompts, **how)


generate.greedy = greedy
'''


@pytest.mark.slow
def test_one_of_two_processes_runs_out_of_memory_while_they_write(toy, tmp_path, monkeypatch):
    """All begin anew after training, with the texts that are kept, and write what one process does."""
    key, module, calls, spec = toy.roles["ceiling"], tmp_path / "tight.py", tmp_path / "calls", tmp_path / "spec.json"
    module.write_text(TIGHT)
    pack = alone(toy.store, key, tmp_path)
    plain = {"store": str(pack.store.root), "modules": [str(module)], "run": {"threads": 1, "checkpoint_seconds": 0}}
    write_json(spec, plain | {"stages": [stage.to_json() for stage in pack.stages]})
    monkeypatch.setenv("W2S_RANKS", "2")
    monkeypatch.setenv("CALLS", str(calls))
    assert run_pack(dataclasses.replace(pack, spec=spec), lambda: False)[key] == "done"
    there = stage_of(toy, "ceiling") / "generated.parquet"
    assert pq.read_table(pack.store.path(key) / there.name) == pq.read_table(there)
    first, again = (
        [int(line.split()[2]) for line in calls.read_text().splitlines() if line.startswith(f"0 {halved} ")]
        for halved in (0, 1)
    )
    assert first.count(100) == 2  # and two of early stopping
    assert sum(again) == pq.read_table(there).num_rows - 100
    assert "training begins after step 84" in (pack.store.path(key) / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 17])
def test_a_stopped_stage_ends_bitwise_the_same(toy, tmp_path, caplog, steps):
    again = stopped_and_resumed(toy.store, toy.roles["student"], tmp_path, steps, caplog)
    for name in ("predictions.parquet", "generated.parquet"):
        assert (again / name).read_bytes() == (stage_of(toy, "student") / name).read_bytes()
