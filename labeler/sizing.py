"""Which width of network, at which scale of the images: chosen by the objects and by the device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from labeler.device import autocast_dtype, choose_device
from labeler.losses import segmentation_loss
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.records import Mask
from labeler.settings import Settings

NARROW, WIDE = 8, 16
# A U-Net with four poolings sees a crop of 128 px; objects of this size fit with their surroundings.
LARGEST_OBJECT = 96.0  # px, square root of the area, at the working scale
SCALES = (1.0, 0.5, 0.25, 0.125)
PATIENCE_S = 60.0  # a first model that takes longer is not worth its width
TRIAL_STEPS = 3


@dataclass(frozen=True, slots=True)
class Sizing:
    """What was chosen, and why, in words for a person."""

    base_width: int
    scale: float
    reason: str


def choose_sizing(masks: Sequence[Mask], settings: Settings) -> Sizing:
    """Width and scale for a network that starts from nothing; settings other than 0 are obeyed."""
    scale, why_scale = (settings.scale, "set by hand") if settings.scale else _scale_for(masks)
    width, why_width = (settings.base_width, "set by hand") if settings.base_width else _width_for(settings)
    return Sizing(width, scale, f"base width {width} ({why_width}); images at scale {scale:g} ({why_scale})")


def object_size(masks: Sequence[Mask]) -> float | None:
    """Median over the masks of the square root of their largest region's area, in pixels; None if all are empty."""
    sizes = []
    for mask in masks:
        _, _, regions, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
        if len(regions) > 1:
            sizes.append(float(np.sqrt(regions[1:, cv2.CC_STAT_AREA].max())))
    return float(np.median(sizes)) if sizes else None


def _scale_for(masks: Sequence[Mask]) -> tuple[float, str]:
    size = object_size(masks)
    if size is None:
        return 1.0, "no object is known yet"
    scale = next((scale for scale in SCALES if size * scale <= LARGEST_OBJECT), SCALES[-1])
    return scale, f"objects measure about {size:.0f} px"


def _width_for(settings: Settings) -> tuple[int, str]:
    seconds = _seconds_per_step(settings.device, settings.batch, settings.patch, torch.get_num_threads())
    whole = seconds * settings.first_steps
    width = WIDE if whole <= PATIENCE_S else NARROW
    return width, f"{settings.first_steps} steps of width {WIDE} take about {whole:.0f} s here"


@cache
def _seconds_per_step(device_name: str, batch: int, patch: int, threads: int) -> float:
    """Measured on random crops, best of a few steps; ``threads`` only keeps measurements apart."""
    device = choose_device(device_name)
    dtype = autocast_dtype(device)
    network = ResidualUNet(NetworkConfig(WIDE, dropout=0.0)).to(device).train()
    x = torch.rand(batch, 3, patch, patch, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.zeros(batch, patch, patch, dtype=torch.long, device=device)
    best = float("inf")
    for _ in range(TRIAL_STEPS):
        begin = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits = network(x)
        loss = segmentation_loss(logits, target).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        float(loss.detach())  # waits for the device
        best = min(best, time.perf_counter() - begin)
    return best
