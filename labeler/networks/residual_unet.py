"""The article's residual U-Net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labeler.networks import lean

STRIDE = 16  # four poolings: inputs are padded to a multiple of this


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What is needed to build a network; stored with every checkpoint."""

    base_width: int = 16
    in_channels: int = 3
    classes: int = 1
    dropout: float = 0.5
    scale: float = 1.0  # of the images it works on, 1 = as they are

    @property
    def out_channels(self) -> int:
        """One logit for one class; with several, one for each and one for the background (first)."""
        return 1 if self.classes == 1 else self.classes + 1


class ResidualBlock(nn.Module):
    """ReLU, BN, Conv, BN, ReLU, Conv, BN, + skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm0 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(self.norm0(functional.relu(x)))
        y = self.conv2(functional.relu(self.norm1(y)))
        return torch.add(self.norm2(y), x)


class Stage(nn.Module):
    """Conv3x3, two residual blocks, ReLU."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 3, padding=1)
        self.block1 = ResidualBlock(width)
        self.block2 = ResidualBlock(width)

    def forward(self, *parts: Tensor) -> Tensor:
        """Of the concatenated ``parts``."""
        if lean.suits_stage(self, parts[0]):
            return lean.run_stage(self, parts)
        x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return functional.relu(self.block2(self.block1(self.conv(x))))


class ResidualUNet(nn.Module):
    """Residual U-Net of widths n, 2n, 4n, 8n, 16n; 5,114,257 parameters with n = 16, 3 channels in, 1 out.

    (N, in_channels, H, W) float -> logits (N, out_channels, H, W), any H and W: what is not divisible by 16 is
    padded by reflection (by its edge where it is smaller than the padding) and cropped back.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        n = config.base_width
        going_down = [(config.in_channels, n), (n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)]
        self.down = nn.ModuleList(Stage(i, o) for i, o in going_down)
        self.middle = Stage(8 * n, 16 * n)
        widths = [(16 * n, 8 * n), (8 * n, 4 * n), (4 * n, 2 * n), (2 * n, n)]
        self.raise_ = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 3, stride=2, padding=1, output_padding=1) for i, o in widths
        )
        self.up = nn.ModuleList(Stage(2 * o, o) for _, o in widths)
        self.head = nn.Conv2d(n, config.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.unpadded(pad_to_stride(x))[..., :height, :width]

    def unpadded(self, x: Tensor) -> Tensor:
        """Logits of an input whose sides are multiples of 16."""
        ratio = self.config.dropout
        skips = []
        for depth, stage in enumerate(self.down):
            x = stage(x)
            skips.append(x)
            x = self._drop(functional.max_pool2d(x, 2), ratio / 2 if depth == 0 else ratio)
        x = self.middle(x)
        for enlarge, stage, skip in zip(self.raise_, self.up, reversed(skips), strict=True):
            x = self._enlarged(x, cast(nn.ConvTranspose2d, enlarge))
            x = stage(self._drop(x, ratio), self._drop(skip, ratio))
        logits: Tensor = self.head(self._drop(x, ratio / 2))
        return logits

    def _enlarged(self, x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
        larger: Tensor = lean.run_enlarge(layer, x) if lean.suits(x, training=self.training) else layer(x)
        return larger

    def _drop(self, x: Tensor, ratio: float) -> Tensor:
        return functional.dropout(x, ratio, training=True) if self.training and ratio else x


def pad_to_stride(x: Tensor) -> Tensor:
    """(N, C, H, W) padded below and right to multiples of 16."""
    height, width = x.shape[-2:]
    missing = (0, -width % STRIDE, 0, -height % STRIDE)
    if not any(missing):
        return x
    # Reflection needs more pixels than it adds; a sliver repeats its edge instead.
    mode = "reflect" if missing[1] < width and missing[3] < height else "replicate"
    return functional.pad(x, missing, mode=mode)
