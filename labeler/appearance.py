"""What an image looks like before there is a model: a vector from its pixels alone."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.records import Embedding, Image

SIDE = 128  # longest side of the copy that is looked at
LEVELS, SATURATIONS, STEEPNESSES, SCALES = 32, 8, 13, 3


def appearance(image: Image) -> Embedding:
    """Histograms of brightness, saturation and steepness at three scales, as one vector of length 1.

    ``image`` (H, W) or (H, W, 3), uint8 or uint16. Square roots, so that a cosine is the Bhattacharyya coefficient.
    Tried on nuclei of ten kinds: the first 11 medoids by these histograms covered 5 kinds, by the features of the
    net trained on ships 3, by downsampled pixels 3, and 11 images drawn by lot 4.1 on average. The mean distance to
    the nearest medoid was lower than by lot in every one of these spaces.
    """
    small = _shrunk(image)
    planes = [small] if small.ndim == 2 else cv2.split(small)  # numpy's reductions over three channels are slow
    grey = sum(planes[1:], planes[0]) / np.float32(len(planes))
    saturation = reduce(np.maximum, planes) - reduce(np.minimum, planes)
    parts = [_histogram(grey, LEVELS, 0, 1), _histogram(saturation, SATURATIONS, 0, 1)]
    plane = (grey - grey.mean()) / max(float(grey.std()), 1 / 255)
    for _ in range(SCALES):
        parts.append(_histogram(_steepness(plane), STEEPNESSES, -10, 3) / np.float32(np.sqrt(SCALES)))
        plane = cv2.pyrDown(plane)
    vector = np.concatenate(parts)
    scaled: Embedding = vector / np.linalg.norm(vector)
    return scaled


def _shrunk(image: Image) -> NDArray[np.float32]:
    """The image with its longest side at most SIDE, in 0..1."""
    full = float(np.iinfo(image.dtype).max)
    height, width = image.shape[:2]
    share = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small: NDArray[np.float32] = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / full
    return small


def _steepness(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binary logarithm of the gradient, -10..3."""
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness: NDArray[np.float32] = np.log2(cv2.magnitude(across, down) + np.float32(1e-3))
    return np.clip(steepness, -9.9, 2.9)


def _histogram(plane: NDArray[np.float32], bins: int, low: float, high: float) -> NDArray[np.float32]:
    # numpy's own takes ten times as long, and every image of a stream is looked at.
    places = ((plane - low) * (bins / (high - low))).astype(np.int32)
    counts = np.bincount(np.clip(places, 0, bins - 1).ravel(), minlength=bins)
    return np.sqrt(counts / plane.size).astype(np.float32)
