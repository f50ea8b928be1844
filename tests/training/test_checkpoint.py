"""Checkpoints are safetensors files like those of the library, written one tensor after the other."""

import io

import pytest
import torch
from safetensors.torch import load

from w2s_sweep.training.checkpoint import restore, save, write_tensors
from w2s_sweep.training.stopping import Best

TENSORS = {
    "matrix": torch.arange(6, dtype=torch.float32).view(2, 3),
    "transposed": torch.arange(6, dtype=torch.float32).view(2, 3).T,
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
    "flags": torch.tensor([True, False]),
    "counts": torch.tensor([1, 2**40]),
}


def test_the_library_reads_what_is_written():
    file = io.BytesIO()
    write_tensors(file, TENSORS, {"step": "7"})
    found = load(file.getvalue())
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_tensors_are_read_one_at_a_time():
    """The next one leaves its device when the last one is in the file."""
    log = []

    class Logged(io.BytesIO):
        def write(self, content):
            log.append(("write", len(content)))
            return super().write(content)

    class Far(torch.Tensor):
        def cpu(self):
            log.append(("copy", self.nbytes))
            return super().cpu().as_subclass(torch.Tensor)

    write_tensors(Logged(), {str(n): torch.zeros(n).as_subclass(Far) for n in (2, 3)}, {})
    assert log[2:] == [("copy", 8), ("write", 8), ("copy", 12), ("write", 12)]


@pytest.mark.parametrize("best_step", [0, 2])
def test_a_state_comes_back(tmp_path, best_step):
    def state(value):
        params = {
            "a": torch.full((2, 2), value),
            "b": torch.full((3,), value),
            "transposed": torch.full((2, 3), value).T,
        }
        optimizer = torch.optim.AdamW([p.requires_grad_() for p in params.values()], lr=0.1, fused=True)
        return params, optimizer

    def train(params, optimizer):
        for p in params.values():
            p.grad = p.detach() * torch.arange(p.numel()).view(p.shape)
        optimizer.step()

    params, optimizer = state(1.0)
    for _ in range(3):
        train(params, optimizer)
    best = Best(best_step, 0.5, {name: p.detach() - 1 for name, p in params.items()} if best_step else {})
    save(tmp_path / "checkpoint", 3, params, optimizer, best)
    (others, fresh), found = state(0.0), Best()
    assert restore(tmp_path / "checkpoint", others, fresh, found) == 3
    for name, param in params.items():
        assert torch.equal(others[name], param)
        for slot, value in optimizer.state[param].items():
            assert torch.equal(fresh.state[others[name]][slot], value)
    assert found.step == best_step
    assert all(torch.equal(found.params[name], value) for name, value in best.params.items())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    train(params, optimizer)
    train(others, fresh)
    assert all(torch.equal(others[name], param) for name, param in params.items())
