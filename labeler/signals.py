"""Figures of one prediction beside its confidence: how sure its edge is, its shape, and how it fits to the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.records import Image, Mask

_BAND = np.ones((5, 5), np.uint8)  # two pixels to either side of the outline
_NEXT = np.ones((3, 3), np.uint8)
_SURE = 230  # the byte from which p is at least 0.9
_LEVEL = (np.arange(256) + 0.5) / 256  # the probability that a stored byte stands for
_ENTROPY = -(_LEVEL * np.log2(_LEVEL) + (1 - _LEVEL) * np.log2(1 - _LEVEL))
_DISTANCE = np.abs(_LEVEL - 0.5)


def signals_of(mask: Mask, probability: NDArray[np.uint8]) -> dict[str, float]:
    """Named figures of a prediction: ``mask`` (H, W) class indices, ``probability`` (H, W) of the foreground, 0..255.

    Of the edge, a band of two pixels to either side of the outline: ``entropy`` mean binary entropy in bits, 0..1;
    ``margin`` mean |p - 0.5|, 0..0.5. ``least_confidence`` 1 - mean p over the foreground, 0..1. Of the whole:
    ``faults`` wrong pixels to be expected for each one of the mask; ``sure`` share of the mask with p >= 0.9.
    Of the shape: ``area`` pixels, ``components`` number, ``largest`` share of the foreground in its largest component,
    ``parts`` mean p of a component, each counting the same, ``border`` share of the image's outermost pixels that are
    foreground, ``thin`` pixels of the outline for each one of the mask. An empty mask has no edge: the pixels around
    the one that is most likely missed stand for it, and ``least_confidence`` is its p.
    """
    foreground = (mask > 0).view(np.uint8)
    area = int(cv2.countNonZero(foreground))
    levels = np.bincount(probability[_edge(foreground) > 0] if area else _around_peak(probability), minlength=256)
    share = levels / max(1, int(levels.sum()))
    doubt = 1 - (cv2.mean(probability, foreground)[0] + 0.5) / 256 if area else (int(probability.max()) + 0.5) / 256
    everywhere = np.bincount(probability.ravel(), minlength=256)
    return {
        "entropy": float(share @ _ENTROPY),
        "margin": float(share @ _DISTANCE),
        "least_confidence": doubt,
        "faults": float(everywhere @ (0.5 - _DISTANCE)) / max(1, area),
        "sure": float(everywhere[_SURE:].sum()) / max(1, area),
        "area": float(area),
        **_components(foreground, probability, area),
        "border": _on_border(foreground),
        "thin": (area - int(cv2.countNonZero(cv2.erode(foreground, _NEXT)))) / max(1, area),
    }


def unexplained(mask: Mask, image: Image) -> float:
    """Share of the image's variance that lies within foreground and background, 0..1; 1 for an empty or full mask.

    A mask that was drawn by brightness or colour leaves little of it; one that a model draws in an image of a kind
    that it does not know often leaves nearly all.
    """
    foreground = (mask > 0).view(np.uint8)
    share = cv2.countNonZero(foreground) / foreground.size
    total = float((cv2.meanStdDev(image)[1] ** 2).sum())
    if total <= 0 or not 0 < share < 1:
        return 1.0
    inside, outside = (float((cv2.meanStdDev(image, mask=part)[1] ** 2).sum()) for part in (foreground, 1 - foreground))
    return min(1.0, (share * inside + (1 - share) * outside) / total)


def _edge(foreground: Mask) -> Mask:
    edge: Mask = cv2.morphologyEx(foreground, cv2.MORPH_GRADIENT, _BAND)
    # An object that fills the image has no outline in it: all of it is in doubt then.
    return edge if cv2.countNonZero(edge) else foreground


def _around_peak(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    row, column = np.unravel_index(int(probability.argmax()), probability.shape)
    return probability[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].ravel()


def _components(foreground: Mask, probability: NDArray[np.uint8], area: int) -> dict[str, float]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8, ltype=cv2.CV_32S)
    if not area:
        return {"components": 0.0, "largest": 0.0, "parts": 0.0}
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return {
        "components": float(count - 1),
        "largest": int(sizes.max()) / area,
        "parts": float(part_means(labels, (probability + 0.5) / 256, count).mean()),
    }


def part_means(labels: NDArray[np.int32], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean of ``values`` (H, W) over each component (count - 1,); ``labels`` (H, W) are 0 outside."""
    flat = labels.ravel()
    means: NDArray[np.float64] = np.bincount(flat, values.ravel(), count)[1:] / np.bincount(flat, minlength=count)[1:]
    return means


def _on_border(foreground: Mask) -> float:
    rim = (foreground[0], foreground[-1], foreground[1:-1, 0], foreground[1:-1, -1])
    return sum(int(side.sum()) for side in rim) / sum(len(side) for side in rim)
