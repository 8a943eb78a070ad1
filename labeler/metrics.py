"""Agreement of masks: IoU and its relatives, for one pair or a batch, vectorised.

Masks are (..., H, W) arrays of bool or integers; what is not zero is foreground. Batches share leading axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[Any]
Floats = NDArray[np.float64]


def confusion(predicted: Masks, reference: Masks) -> NDArray[np.int64]:
    """Counts (..., 4) of true positive, false positive, false negative and true negative pixels."""
    predicted, reference = np.asarray(predicted) != 0, np.asarray(reference) != 0
    if predicted.shape != reference.shape:
        raise ValueError(f"masks of different shapes: {predicted.shape} and {reference.shape}")
    both = np.count_nonzero(predicted & reference, axis=(-2, -1))
    only_predicted = np.count_nonzero(predicted, axis=(-2, -1)) - both
    only_reference = np.count_nonzero(reference, axis=(-2, -1)) - both
    pixels = predicted.shape[-2] * predicted.shape[-1]
    return np.stack([both, only_predicted, only_reference, pixels - both - only_predicted - only_reference], axis=-1)


def iou(predicted: Masks, reference: Masks) -> Floats:
    """Plain IoU |A n B| / |A u B| in 0..1, shape (...); two empty masks agree: 1."""
    hit, extra, missed, _ = np.moveaxis(confusion(predicted, reference), -1, 0)
    return _ratio(hit, hit + extra + missed)


def dice(predicted: Masks, reference: Masks) -> Floats:
    """Dice 2 |A n B| / (|A| + |B|) in 0..1, shape (...); two empty masks agree: 1."""
    hit, extra, missed, _ = np.moveaxis(confusion(predicted, reference), -1, 0)
    return _ratio(2 * hit, 2 * hit + extra + missed)


def stepped_iou(predicted: Masks, reference: Masks) -> Floats:
    """The article's metric, 0, 0.1, ... 1, shape (...).

    An empty reference gives 1 if the prediction is empty too, else 0; otherwise
    floor(max(0, (IoU - 0.45) * 20)) / 10, so that 1 means IoU >= 0.95.
    """
    hit, extra, missed, _ = np.moveaxis(confusion(predicted, reference), -1, 0)
    # (IoU - 0.45) * 20 over integers: a rounded quotient would put an IoU of exactly 0.95 one step too low.
    union = hit + extra + missed
    steps = np.clip((20 * hit - 9 * union) // np.maximum(union, 1), 0, 10) / 10.0
    return np.where(hit + missed == 0, np.where(hit + extra == 0, 1.0, 0.0), steps)


def class_iou(predicted: Masks, reference: Masks, *, classes: int) -> Floats:
    """Plain IoU of each class 1..classes, shape (..., classes); nan where neither mask has the class."""
    found = []
    for value in range(1, classes + 1):
        hit, extra, missed, _ = np.moveaxis(confusion(predicted == value, reference == value), -1, 0)
        union = hit + extra + missed
        found.append(np.where(union == 0, np.nan, hit / np.maximum(union, 1)))
    return np.stack(found, axis=-1)


def mean_iou(predicted: Masks, reference: Masks, *, classes: int = 1) -> float:
    """Mean plain IoU over the classes that either mask has; 1 where neither has any."""
    present = class_iou(predicted, reference, classes=classes)
    present = present[~np.isnan(present)]
    return float(present.mean()) if present.size else 1.0


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))
