"""One image seen in several ways: turned and mirrored, and how far a model's masks of them agree."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.records import Image, Mask
from labeler.signals import part_means

# Quarter turns and whether mirrored afterwards; the first is the image as it is.
VIEWS = ((0, False), (0, True), (1, False), (1, True), (2, False), (2, True), (3, False), (3, True))
FEW = 4  # views of an image of the grey zone on a processor; a GPU takes all eight of every image
REMEMBERED = 500  # predictions from which the grey zone is known


def warped(image: Image, view: tuple[int, bool]) -> Image:
    """The image (H, W, ...) in another orientation; (W, H, ...) after an odd number of quarter turns."""
    turns, mirrored = view
    turned = np.rot90(image, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def unwarped(plane: NDArray[Any], view: tuple[int, bool]) -> NDArray[Any]:
    """What ``warped`` has made of a plane, brought back."""
    turns, mirrored = view
    return np.ascontiguousarray(np.rot90(plane[:, ::-1] if mirrored else plane, -turns))


def agreement(masks: Sequence[Mask], *, classes: int = 1) -> tuple[float, float]:
    """Mean and smallest pairwise plain IoU of masks (H, W) of one image, 0..1; two empty ones agree.

    With several classes the mean over those that either mask has.
    """
    planes = np.stack([mask.ravel() for mask in masks])
    total, present = np.zeros((len(masks),) * 2), np.zeros((len(masks),) * 2)
    for value in range(1, classes + 1):
        chosen = (planes == value).astype(np.float32)
        hit = (chosen @ chosen.T).astype(float)
        union = np.add.outer(np.diag(hit), np.diag(hit)) - hit
        total += np.where(union > 0, hit / np.maximum(union, 1), 0)
        present += union > 0
    ious = np.where(present > 0, total / np.maximum(present, 1), 1.0)
    pairs = ious[np.triu_indices(len(masks), 1)]
    return float(pairs.mean()), float(pairs.min())


def support(mask: Mask, masks: Sequence[Mask], probabilities: Sequence[NDArray[np.uint8]]) -> tuple[float, float]:
    """How far several looks bear out one mask (H, W), both in 0..1, whatever the classes.

    The mean share of a component that is foreground in ``masks``, each component counting the same; and the expected
    IoU of the mask under the mean of ``probabilities`` (soft IoU). Of an empty mask: 1, and 1 - the largest mean p.
    """
    foreground = (mask > 0).view(np.uint8)
    mean = np.asarray(np.mean(np.stack(probabilities), axis=0), np.float32) / 256
    count, labels = cv2.connectedComponents(foreground, connectivity=8, ltype=cv2.CV_32S)
    if count == 1:
        return 1.0, 1 - float(mean.max())
    parts = part_means(labels, np.mean(np.stack(masks) > 0, axis=0), count)
    inside = float(mean[foreground > 0].sum())
    return float(parts.mean()), inside / (int(foreground.sum()) + float(mean.sum()) - inside)


def doubtful_place(masks: Sequence[Mask]) -> tuple[float, float] | None:
    """Where masks (H, W) of one image disagree, (across, down) in 0..1 of its sides; None where they do not."""
    rows, columns = np.nonzero(np.ptp(np.stack(masks), axis=0))
    height, width = masks[0].shape
    return None if not len(rows) else (float((columns.mean() + 0.5) / width), float((rows.mean() + 0.5) / height))


def joined(
    masks: Sequence[Mask], probabilities: Sequence[NDArray[np.uint8]], *, classes: int = 1
) -> tuple[Mask, NDArray[np.uint8]]:
    """Mask and probability (H, W) of several looks at one image: the mean probability of foreground, floored.

    With several classes a foreground pixel gets the class that most masks give it, the lowest of equals.
    """
    total: NDArray[np.uint32] = np.sum(np.stack(probabilities), axis=0, dtype=np.uint32)
    probability: NDArray[np.uint8] = (total // len(probabilities)).astype(np.uint8)
    mask: Mask = (probability >= 128).astype(np.uint8)
    if classes > 1:
        votes = [np.sum(np.stack(masks) == value, axis=0) for value in range(1, classes + 1)]
        mask = np.where(mask > 0, np.argmax(votes, axis=0) + 1, 0).astype(np.uint8)
    return mask, probability


def disagreement(probabilities: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Heat map (H, W), 0..255: twice the standard deviation of the foreground's probability over the views."""
    spread = np.std(np.stack(probabilities).astype(np.float32), axis=0)
    heat: NDArray[np.uint8] = np.clip(2 * spread, 0, 255).astype(np.uint8)
    return heat


class GreyZone:
    """Which predictions are worth more forward passes: those nearest the threshold, a fixed share of all."""

    def __init__(self, *, threshold: float, share: float) -> None:
        self._threshold = threshold
        self._share = share
        self._distances: deque[float] = deque(maxlen=REMEMBERED)
        self._seen = self._spent = 0

    def choose(self, confidences: Sequence[float]) -> list[int]:
        """Indices of the next predictions that are in the zone; never more than the share of all so far, plus one."""
        distances = [abs(value - self._threshold) if math.isfinite(value) else math.inf for value in confidences]
        self._distances.extend(distances)
        self._seen += len(distances)
        if self._share <= 0 or not distances:
            return []
        reach = np.quantile(np.array(self._distances), self._share, method="higher")
        near = sorted(
            (index for index in range(len(distances)) if distances[index] <= reach), key=distances.__getitem__
        )
        chosen = near[: max(0, math.ceil(self._share * self._seen) - self._spent)]
        self._spent += len(chosen)
        return chosen
