"""Losses on logits: cross-entropy for the pixels, Dice for the shape."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Per-image loss (N,): cross-entropy + Dice.

    logits (N, 1, H, W) with one class (binary cross-entropy + Dice), else (N, classes + 1, H, W) with the
    background first (cross-entropy + mean Dice of the foreground classes); target (N, H, W) of class indices.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        wanted = (target > 0).float().unsqueeze(1)
        pixels = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=(1, 2, 3))
        return pixels + dice_loss(torch.sigmoid(logits), wanted).mean(dim=1)
    pixels = functional.cross_entropy(logits, target.long(), reduction="none").mean(dim=(1, 2))
    wanted = functional.one_hot(target.long(), logits.shape[1]).movedim(-1, 1).float()
    return pixels + dice_loss(torch.softmax(logits, dim=1), wanted)[:, 1:].mean(dim=1)


def dice_loss(probability: Tensor, wanted: Tensor) -> Tensor:
    """1 - (2 |p w| + 1) / (|p| + |w| + 1) of each image and channel: (N, C) from (N, C, H, W)."""
    hit = (probability * wanted).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3))
    return 1 - (2 * hit + SMOOTH) / (total + SMOOTH)
