"""The residual U-Net and its folded form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labeler.losses import dice_loss, segmentation_loss
from labeler.networks import FoldedUNet, NetworkConfig, ResidualUNet

CPU = torch.device("cpu")


def _lived_in(config: NetworkConfig) -> ResidualUNet:
    """A network whose normalisations have statistics and scales of their own, also negative and tiny ones."""
    torch.manual_seed(0)
    network = ResidualUNet(config).train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(-1, 1.5)
                module.weight[0] = 1e-7
                module.bias.uniform_(-0.5, 0.5)
        for _ in range(4):
            network(torch.rand(4, config.in_channels, 32, 32))
    return network.eval()


def test_base_16_has_the_article_s_number_of_parameters() -> None:
    network = ResidualUNet(NetworkConfig(base_width=16))
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == 5_114_257


@pytest.mark.parametrize("size", [(128, 128), (16, 16), (17, 33), (1, 1), (1, 200), (5, 3), (100, 90)])
def test_any_size_gives_logits_of_that_size(size: tuple[int, int]) -> None:
    network = ResidualUNet(NetworkConfig(base_width=2)).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_channels_and_classes_are_free() -> None:
    config = NetworkConfig(base_width=2, in_channels=5, classes=3)
    assert ResidualUNet(config)(torch.rand(2, 5, 32, 32)).shape == (2, 4, 32, 32)


def test_dropout_acts_in_training_only() -> None:
    network = ResidualUNet(NetworkConfig(base_width=2, dropout=0.5))
    x = torch.rand(2, 3, 32, 32)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("size", [(64, 64), (50, 37), (16, 16)])
def test_folded_network_computes_the_same_up_to_the_border(size: tuple[int, int]) -> None:
    network = _lived_in(NetworkConfig(base_width=4, dropout=0.5))
    x = torch.rand(2, 3, *size)
    folded = FoldedUNet(network, device=CPU, dtype=torch.float32)(x)
    with torch.inference_mode():
        expected = network(x)
    assert torch.allclose(folded, expected, atol=1e-4 * float(expected.abs().max()) + 1e-5)


def test_folded_network_without_fused_operators_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA and MPS run."""
    network = _lived_in(NetworkConfig(base_width=4))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    x = torch.rand(2, 3, 48, 32)
    with torch.inference_mode():
        expected = network(x)
    folded = FoldedUNet(network, device=CPU, dtype=torch.float32)(x)
    assert torch.allclose(folded, expected, atol=1e-4 * float(expected.abs().max()) + 1e-5)


def test_folded_network_gives_its_innermost_features_too() -> None:
    network = _lived_in(NetworkConfig(base_width=4))
    innermost: list[torch.Tensor] = []
    network.middle.register_forward_hook(lambda module, inputs, output: innermost.append(output))
    x = torch.rand(3, 3, 48, 64)
    with torch.inference_mode():
        network(x)
    logits, features = FoldedUNet(network, device=CPU, dtype=torch.float32).with_features(x)
    assert logits.shape == (3, 1, 48, 64)
    assert features.shape == (3, 64)
    assert torch.allclose(features, innermost[0].mean((2, 3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("width", [8, 9])
def test_folded_network_computes_the_same_with_and_without_pixel_pairs(width: int) -> None:
    """A convolution to at most 8 channels computes two pixels at once."""
    network = _lived_in(NetworkConfig(base_width=width))
    x = torch.rand(2, 3, 32, 48)
    with torch.inference_mode():
        expected = network(x)
    folded = FoldedUNet(network, device=CPU, dtype=torch.float32)(x)
    assert torch.allclose(folded, expected, atol=1e-4 * float(expected.abs().max()) + 1e-5)


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor cannot multiply bfloat16; fp32 is used"
)
def test_folded_network_in_bfloat16_stays_close() -> None:
    network = _lived_in(NetworkConfig(base_width=4))
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
    folded = FoldedUNet(network, device=CPU, dtype=torch.bfloat16)(x)
    assert (folded - expected).abs().mean() < 0.03 * expected.abs().mean() + 0.02


def test_folding_leaves_the_network_untouched() -> None:
    network = _lived_in(NetworkConfig(base_width=2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = FoldedUNet(network, device=CPU, dtype=torch.float32)
    x = torch.rand(1, 3, 32, 32)
    first = folded(x)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(folded(x), first)
    assert all(value.shape == network.state_dict()[name].shape for name, value in before.items())


def test_loss_falls_as_logits_approach_the_target() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 2:5, 2:5] = 1
    right = (target.unsqueeze(1).float() - 0.5) * 20
    assert segmentation_loss(right, target).item() < 0.01
    assert segmentation_loss(-right, target).item() > 5


def test_loss_is_one_figure_an_image_for_any_number_of_classes() -> None:
    target = torch.randint(0, 4, (3, 16, 16))
    assert segmentation_loss(torch.randn(3, 4, 16, 16), target).shape == (3,)
    assert segmentation_loss(torch.randn(3, 1, 16, 16), target).shape == (3,)


def test_balanced_loss_weighs_small_and_large_objects_alike() -> None:
    target = torch.zeros(3, 16, 16, dtype=torch.long)
    target[0, :2, :2] = 1
    target[1, :, :8] = 1
    missed = torch.full((3, 1, 16, 16), -10.0)
    small, large, none = segmentation_loss(missed, target, balanced=True).tolist()
    assert small == pytest.approx(large, abs=0.2)
    assert none == pytest.approx(0, abs=1e-3)
    unbalanced = segmentation_loss(missed, target).tolist()
    assert unbalanced[1] > 4 * unbalanced[0]
    # Nothing missed and nothing else found is as right as before; several classes are weighed alike among them.
    right = (target.unsqueeze(1).float() - 0.5) * 30
    assert segmentation_loss(right, target, balanced=True).max() < 0.01
    target[0, 8:, :] = 2
    several = segmentation_loss(torch.zeros(3, 3, 16, 16), target, balanced=True)
    weighed = (1 + 0.25) * math.log(3)
    assert several[0] == pytest.approx(weighed + dice_of_thirds(target[0]), rel=1e-3)


def dice_of_thirds(target: torch.Tensor) -> float:
    """Mean Dice loss of the two classes where each pixel's probability is a third."""
    areas = [int((target == index).sum()) for index in (1, 2)]
    return float(np.mean([1 - (2 * area / 3 + 1) / (256 / 3 + area + 1) for area in areas]))


def test_dice_loss_has_smooth_one() -> None:
    probability, wanted = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    assert dice_loss(probability, wanted).item() == 0  # (0 + 1) / (0 + 1)
    probability[0, 0, 0, 0] = 1
    assert dice_loss(probability, wanted).item() == pytest.approx(1 - 1 / 2)
