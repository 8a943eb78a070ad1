"""Training passes with hand-written gradients, beside the modules that define what is computed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from labeler.networks import NetworkConfig, ResidualUNet, lean, passes

Run = tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture
def modules_only(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(lean, "suits", lambda x, *, training: False)
    return monkeypatch


def _network(width: int, dtype: torch.dtype, *, momentum: float | None = 0.1, held: bool = False) -> ResidualUNet:
    torch.manual_seed(0)
    others = torch.Generator().manual_seed(1)
    network = ResidualUNet(NetworkConfig(base_width=width, dropout=0.0)).to(dtype).train()
    with torch.no_grad():
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.momentum = momentum
            norm.weight.uniform_(-1, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-0.3, 0.3, generator=others)
            norm.running_var.uniform_(0.5, 2, generator=others)
            norm.train(not held)
    return network


def _run(network: ResidualUNet, x: Tensor, *, autocast: bool = False) -> Run:
    """Logits, gradients of the input and of the parameters, buffers; two passes, so that buffers move twice."""
    network, x = copy.deepcopy(network), x.clone().requires_grad_()
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = network(x).to(x.dtype)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        (logits * torch.randn_like(logits)).sum().backward()
    assert x.grad is not None
    grads = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return logits.detach(), x.grad, grads, dict(network.named_buffers())


def _distance(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / (expected.double().norm() + 1e-12))


@pytest.mark.parametrize(
    ("width", "momentum", "size", "held"),
    [
        (3, 0.1, (32, 48), False),
        (8, 0.1, (32, 48), False),
        (8, None, (16, 16), False),
        (16, 0.1, (32, 32), False),
        (8, 0.1, (32, 48), True),
        (16, 0.1, (32, 32), True),
    ],
)
def test_training_pass_agrees_with_the_modules(
    width: int, momentum: float | None, size: tuple[int, int], held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = _network(width, torch.float64, momentum=momentum, held=held)
    x = torch.randn(3, 3, *size, dtype=torch.float64)
    found = _run(network, x)
    monkeypatch.setattr(lean, "suits", lambda x, *, training: False)
    expected = _run(network, x)
    assert _distance(found[0], expected[0]) < 1e-10
    assert _distance(found[1], expected[1]) < 1e-9
    assert found[2].keys() == expected[2].keys()
    for ours, theirs in ((found[2], expected[2]), (found[3], expected[3])):
        for name in theirs:  # but for rounding, the bias of a convolution before a normalisation has the gradient 0
            assert torch.allclose(ours[name], theirs[name], rtol=1e-8, atol=1e-8), name


@pytest.mark.parametrize("held", [False, True])
def test_bfloat16_is_as_close_to_float32_as_the_modules_under_autocast(
    held: bool, modules_only: pytest.MonkeyPatch
) -> None:
    network = _network(8, torch.float32, held=held).to(memory_format=torch.channels_last)
    x = torch.randn(4, 3, 64, 64)
    exact, rounded = _run(network, x), _run(network, x, autocast=True)
    modules_only.undo()
    found = _run(network, x, autocast=True)
    assert found[0].dtype == rounded[0].dtype
    assert _distance(found[0], exact[0]) < 1.3 * _distance(rounded[0], exact[0])
    heads = ("head.weight", "up.3.conv.weight", "up.3.block2.conv2.weight", "up.3.block2.norm2.weight")
    for name in heads:
        assert _distance(found[2][name], exact[2][name]) < 1.5 * _distance(rounded[2][name], exact[2][name]) + 0.01


@pytest.mark.parametrize(("width", "side"), [(8, 6), (8, 7), (3, 4), (16, 6)])
def test_convolution_of_pixel_pairs_agrees_with_the_plain_one(width: int, side: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 4, side, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(width, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(width, dtype=torch.float64, requires_grad=True)
    expected = functional.conv2d(x, weight, bias, padding=1)
    assert torch.allclose(passes.conv(x, weight, bias), expected)
    grad = torch.randn_like(expected)
    in_x, in_weight, in_bias = torch.autograd.grad(expected, (x, weight, bias), grad)
    assert torch.allclose(passes.conv_input_grad(grad, weight.detach(), x.detach()), in_x)
    found = passes.conv_weight_grad(grad, x.detach(), weight.detach())
    assert torch.allclose(found[0], in_weight)
    assert torch.allclose(found[1], in_bias)


def test_evaluation_and_frozen_weights_are_not_touched() -> None:
    network, x = _network(8, torch.float32).eval(), torch.randn(1, 3, 32, 32)
    before = copy.deepcopy(network.state_dict())
    network(x).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not lean.suits(x, training=False)
