"""The residual U-Net for inference: normalisation folded into the convolutions, passes over memory fused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labeler.networks import passes
from labeler.networks.residual_unet import ResidualBlock, ResidualUNet, Stage, pad_to_stride

SMALLEST_SCALE = 1e-4  # a normalisation scale below this is raised to it: the border value -b/s must stay finite


class FoldedUNet:
    """What :class:`ResidualUNet` computes in eval mode, without dropout and with 27 fewer passes over memory.

    (N, in_channels, H, W) in ``dtype`` -> logits (N, out_channels, H, W) float32. Holds no state between calls and
    shares no memory with the network that it was made from.
    """

    def __init__(self, network: ResidualUNet, *, device: torch.device, dtype: torch.dtype) -> None:
        self.config = network.config
        self.device, self.dtype = device, dtype
        with torch.no_grad():
            self._down = [_FoldedStage(stage, device, dtype) for stage in _stages(network.down)]
            self._middle = _FoldedStage(network.middle, device, dtype)
            self._up = [_FoldedStage(stage, device, dtype, parts=2) for stage in _stages(network.up)]
            self._raise = [_Enlarge(cast(nn.ConvTranspose2d, layer), device, dtype) for layer in network.raise_]
            self._head = _Conv(network.head.weight, network.head.bias, 0, device, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return self.with_features(x)[0]

    @torch.inference_mode()
    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the mean over all places of the innermost stage, (N, 16 * base width) float32."""
        height, width = x.shape[-2:]
        x = pad_to_stride(x).to(self.device, self.dtype, memory_format=torch.channels_last)
        skips = []
        for stage in self._down:
            x = stage(x)
            skips.append(x)
            x = passes.halved(x)
        x = self._middle(x)
        features = x.mean((2, 3), dtype=torch.float32)
        for enlarge, stage, skip in zip(self._raise, self._up, reversed(skips), strict=True):
            x = stage(enlarge(x), skip)
        return self._head(x)[..., :height, :width].float(), features


class _Conv:
    """Convolution, optionally + another tensor, optionally + ReLU, in one pass where oneDNN offers it."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, padding: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.padding = padding
        # Two neighbouring pixels at once where one would leave half of a vector empty; all widths here are even.
        self.paired = weight.shape[0] <= passes.NARROW and weight.shape[2] == 3
        self.step = 2 if self.paired else 1
        bias = torch.zeros(weight.shape[0]) if bias is None else bias.detach()
        self.bias = bias.to(device, dtype, copy=True).repeat(2 if self.paired else 1)
        self.weight = weight.detach().to(device, dtype, copy=True).contiguous(memory_format=torch.channels_last)
        self.weight = passes.doubled(self.weight) if self.paired else self.weight
        if passes.fuses(device):
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
                self.weight.to_mkldnn(), [padding, padding], [1, self.step], [1, 1], 1
            )

    def __call__(self, x: Tensor, *, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """``add`` is overwritten with the result."""
        add = passes.paired(add) if add is not None and self.paired else add
        y = passes.convolved(
            x, self.weight, self.bias, padding=self.padding, step=self.step, add=add, relu=relu, over=True
        )
        return passes.parted(y) if self.paired else y


class _Enlarge:
    """Transposed 3x3 convolution of stride 2."""

    def __init__(self, layer: nn.ConvTranspose2d, device: torch.device, dtype: torch.dtype) -> None:
        # One layout whatever the layer's: the sums of two layouts round differently.
        self.weight = layer.weight.detach().to(device, dtype, copy=True, memory_format=torch.contiguous_format)
        self.bias = None if layer.bias is None else layer.bias.detach().to(device, dtype, copy=True)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1, output_padding=1)


class _FoldedBlock:
    """ReLU, BN, Conv, BN, ReLU, Conv, BN, + skip, as: ReLU into a framed buffer, Conv + ReLU, Conv + skip.

    BN(r) = s r + b stands before a zero-padded convolution. s goes into its weights; b would go into its bias but
    for the border, where the padding must count as BN(r) = 0: it is padded with r = -b/s instead.
    """

    def __init__(self, block: ResidualBlock, device: torch.device, dtype: torch.dtype) -> None:
        scale0, shift0 = passes.scale_and_shift(block.norm0)
        scale0 = torch.where(scale0.abs() < SMALLEST_SCALE, torch.full_like(scale0, SMALLEST_SCALE), scale0)
        border = (-shift0 / scale0).to(dtype)
        # What the rounded border value stands for, so that the interior bias agrees with it exactly.
        weight1, bias1 = _folded(block.conv1, block.norm1)
        bias1 = bias1 + torch.einsum("oihw,i->o", weight1, -border.float() * scale0)
        self.conv1 = _Conv(weight1 * scale0.view(1, -1, 1, 1), bias1, 0, device, dtype)
        self.conv2 = _Conv(*_folded(block.conv2, block.norm2), 1, device, dtype)
        self.border = border.to(device).view(1, -1, 1, 1)

    def __call__(self, x: Tensor, *, relu: bool) -> Tensor:
        return self.conv2(self.conv1(self._framed_relu(x), relu=True), add=x, relu=relu)

    def _framed_relu(self, x: Tensor) -> Tensor:
        count, width, height, length = x.shape
        shape = (count, width, height + 2, length + 2)
        framed = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        framed[:, :, 0], framed[:, :, -1] = self.border[..., 0], self.border[..., 0]
        framed[..., 0], framed[..., -1] = self.border[..., 0], self.border[..., 0]
        torch.clamp_min(x, 0, out=framed[:, :, 1:-1, 1:-1])
        return framed


class _FoldedStage:
    """Conv3x3, two blocks, ReLU; ``parts`` inputs are convolved apart and added instead of concatenated."""

    def __init__(self, stage: Stage, device: torch.device, dtype: torch.dtype, *, parts: int = 1) -> None:
        bias = stage.conv.bias
        self.convs = [
            _Conv(weight, bias if index == 0 else None, 1, device, dtype)
            for index, weight in enumerate(stage.conv.weight.chunk(parts, dim=1))
        ]
        self.block1 = _FoldedBlock(stage.block1, device, dtype)
        self.block2 = _FoldedBlock(stage.block2, device, dtype)

    def __call__(self, *inputs: Tensor) -> Tensor:
        x = self.convs[0](inputs[0])
        for conv, part in zip(self.convs[1:], inputs[1:], strict=True):
            x = conv(part, add=x)
        return self.block2(self.block1(x, relu=False), relu=True)


def _stages(modules: nn.ModuleList) -> Iterator[Stage]:
    return (cast(Stage, module) for module in modules)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """:func:`passes.joint` in one layout whatever the layer's: the sums of two layouts round differently."""
    weight, bias = passes.joint(conv, norm)
    return weight.contiguous(), bias
