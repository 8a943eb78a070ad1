"""Figures of one prediction beside its confidence: how sure its edge is, and what shape it has."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.records import Mask

_BAND = np.ones((5, 5), np.uint8)  # two pixels to either side of the outline
_LEVEL = (np.arange(256) + 0.5) / 256  # the probability that a stored byte stands for
_ENTROPY = -(_LEVEL * np.log2(_LEVEL) + (1 - _LEVEL) * np.log2(1 - _LEVEL))
_DISTANCE = np.abs(_LEVEL - 0.5)


def signals_of(mask: Mask, probability: NDArray[np.uint8]) -> dict[str, float]:
    """Named figures of a prediction: ``mask`` (H, W) class indices, ``probability`` (H, W) of the foreground, 0..255.

    Of the edge, a band of two pixels to either side of the outline: ``entropy`` mean binary entropy in bits, 0..1;
    ``margin`` mean |p - 0.5|, 0..0.5. ``least_confidence`` 1 - mean p over the foreground, 0..1. Of the shape: ``area``
    pixels, ``components`` number, ``largest`` share of the foreground in its largest component, ``border`` share of
    the image's outermost pixels that are foreground. An empty mask has no edge: the pixels around the one that is
    most likely missed stand for it, and ``least_confidence`` is its p.
    """
    foreground = (mask > 0).view(np.uint8)
    area = int(cv2.countNonZero(foreground))
    levels = np.bincount(probability[_edge(foreground) > 0] if area else _around_peak(probability), minlength=256)
    share = levels / max(1, int(levels.sum()))
    doubt = 1 - (cv2.mean(probability, foreground)[0] + 0.5) / 256 if area else (int(probability.max()) + 0.5) / 256
    return {
        "entropy": float(share @ _ENTROPY),
        "margin": float(share @ _DISTANCE),
        "least_confidence": doubt,
        "area": float(area),
        **_components(foreground, area),
        "border": _on_border(foreground),
    }


def _edge(foreground: Mask) -> Mask:
    edge: Mask = cv2.morphologyEx(foreground, cv2.MORPH_GRADIENT, _BAND)
    # An object that fills the image has no outline in it: all of it is in doubt then.
    return edge if cv2.countNonZero(edge) else foreground


def _around_peak(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    row, column = np.unravel_index(int(probability.argmax()), probability.shape)
    return probability[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].ravel()


def _components(foreground: Mask, area: int) -> dict[str, float]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8, ltype=cv2.CV_32S)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) / area if area else 0.0
    return {"components": float(count - 1), "largest": largest}


def _on_border(foreground: Mask) -> float:
    rim = (foreground[0], foreground[-1], foreground[1:-1, 0], foreground[1:-1, -1])
    return sum(int(side.sum()) for side in rim) / sum(len(side) for side in rim)
