"""Losses on logits: cross-entropy for the pixels, Dice for the shape."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0
OBJECTS_WORTH = 0.25  # of the background, for all objects of an image together, where both are balanced


def segmentation_loss(logits: Tensor, target: Tensor, *, balanced: bool = False) -> Tensor:
    """Per-image loss (N,): cross-entropy + Dice.

    logits (N, 1, H, W) with one class (binary cross-entropy + Dice), else (N, classes + 1, H, W) with the
    background first (cross-entropy + mean Dice of the foreground classes); target (N, H, W) of class indices.
    ``balanced``: what an image shows counts the same whether it is small or large, and Dice only where it shows it.
    Else images with large objects that are hard to tell drown the small ones of others.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        wanted = (target > 0).float().unsqueeze(1)
        pixels = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").squeeze(1)
        shapes = dice_loss(torch.sigmoid(logits), wanted)
    else:
        pixels = functional.cross_entropy(logits, target.long(), reduction="none")
        wanted = functional.one_hot(target.long(), logits.shape[1]).movedim(-1, 1).float()[:, 1:]
        shapes = dice_loss(torch.softmax(logits, dim=1)[:, 1:], wanted)
    if balanced:
        pixels = pixels * _balance(wanted)
        shapes = torch.where(wanted.any(dim=(2, 3)), shapes, torch.zeros_like(shapes))
    return pixels.mean(dim=(1, 2)) + shapes.mean(dim=1)


def _balance(wanted: Tensor) -> Tensor:
    """Weights of the pixels (N, H, W): of the background 1 on the mean, of each class shown its share of the objects'.

    ``wanted`` (N, classes, H, W) is one-hot without the background.
    """
    size = wanted.shape[2] * wanted.shape[3]
    objects = wanted.sum(dim=(2, 3), keepdim=True)
    shown = (objects > 0).sum(dim=1, keepdim=True).clamp(min=1)
    background = size - objects.sum(dim=1)
    each = (wanted * (OBJECTS_WORTH / shown * size / objects.clamp(min=1))).sum(dim=1)
    return each + (1 - wanted.sum(dim=1)) * size / background.clamp(min=1)


def dice_loss(probability: Tensor, wanted: Tensor) -> Tensor:
    """1 - (2 |p w| + 1) / (|p| + |w| + 1) of each image and channel: (N, C) from (N, C, H, W)."""
    hit = (probability * wanted).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3))
    return 1 - (2 * hit + SMOOTH) / (total + SMOOTH)
