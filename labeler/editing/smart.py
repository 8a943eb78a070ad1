"""Tools that look at the image: smart brush, wand, box. They find pixels; the editor paints them.

Images are (H, W) or (H, W, 3) uint8 as displayed, probabilities (H, W) uint8 of foreground.
Nothing is learned or downloaded.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.editing.rects import Rect, slices, widened
from labeler.records import Mask
from labeler.spans import Point

_BOX_SIDE = 256  # longest side at which a box is solved; a larger one is solved coarser
_SURE_IN, _SURE_OUT = 230, 26  # of 255: p > 0.9 and p < 0.1
Chosen = NDArray[np.bool_]


def coloured(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A piece of an image as (h, w, 3) in one piece."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def alike_in_disc(rgb: NDArray[np.uint8], centre: Point, diameter: float) -> tuple[Rect, Chosen] | None:
    """The pixels of a disc that hang together with its centre and look like it; None outside the image.

    How alike they must be, the disc tells itself: Otsu's threshold of the distances in colour, where it parts two
    sides that differ by more than they vary; else all of the disc.
    """
    radius = max(diameter, 1.0) / 2
    x, y = centre
    box = math.floor(y - radius), math.floor(x - radius), math.ceil(y + radius), math.ceil(x + radius)
    rect = max(box[0], 0), max(box[1], 0), min(box[2], rgb.shape[0]), min(box[3], rgb.shape[1])
    if rect[0] >= rect[2] or rect[1] >= rect[3]:
        return None
    rows, columns = np.ogrid[rect[0] : rect[2], rect[1] : rect[3]]
    squared = (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2
    disc = squared <= radius**2
    if diameter < 4 or not disc.any():
        return rect, disc
    # A little more than the disc, so that smoothing at its rim sees what lies beyond.
    around = widened(rect, 3, rgb.shape)
    smooth = cv2.cvtColor(cv2.medianBlur(coloured(rgb[slices(around)]), 3), cv2.COLOR_RGB2LAB)
    colours = smooth[slices(rect, around[:2])].astype(np.float32)
    core = disc & (squared <= max(radius / 4, 1.0) ** 2)
    if not core.any():
        return rect, disc
    far = np.sqrt(np.square(colours - np.median(colours[core], axis=0)).sum(2))
    return rect, _hanging_together(disc & (far <= _parting(far, disc)), core)


def _parting(far: NDArray[np.float32], disc: Chosen) -> float:
    """The distance in colour that parts the disc in two, infinite where it is all of a kind."""
    scale = 255 / max(float(far[disc].max()), 1e-6)
    scaled = np.minimum(far[disc] * scale, 255).astype(np.uint8)
    level, _ = cv2.threshold(scaled.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    near, beyond = scaled[scaled <= level] / scale, scaled[scaled > level] / scale
    if not near.size or not beyond.size:
        return math.inf
    gap = float(beyond.mean() - near.mean())
    return level / scale if gap > 3 and gap > 1.5 * float(near.std() + beyond.std()) else math.inf


def _hanging_together(chosen: Chosen, core: Chosen) -> Chosen:
    _, names = cv2.connectedComponents(chosen.astype(np.uint8), connectivity=4)
    kept = np.unique(names[core & chosen])
    part = np.isin(names, kept[kept > 0])
    # Noise leaves pinholes that nobody would paint around.
    closed: Chosen = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    return closed


def alike(rgb: NDArray[np.uint8], point: Point, tolerance: float) -> tuple[Rect, Chosen] | None:
    """The pixels that hang together with ``point`` and differ from it by at most ``tolerance`` in every channel."""
    row, column = math.floor(point[1]), math.floor(point[0])
    height, width = rgb.shape[:2]
    if not (0 <= row < height and 0 <= column < width):
        return None
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    reached = np.zeros((height + 2, width + 2), np.uint8)
    most = (tolerance,) * 3
    pixels = rgb if rgb.flags.writeable else rgb.copy()
    _, _, _, (x, y, w, h) = cv2.floodFill(pixels, reached, (column, row), 0, most, most, flags)
    rect = y, x, y + h, x + w
    return rect, reached[1:-1, 1:-1][slices(rect)] > 0


def boxed(rgb: NDArray[np.uint8], probability: NDArray[np.uint8] | None, box: Rect) -> tuple[Rect, Chosen] | None:
    """The object in a box by GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004); None for an empty box.

    What surrounds the box is background. With a prediction, p > 0.9 in the box is object and p < 0.1 background.
    """
    height, width = rgb.shape[:2]
    box = max(box[0], 0), max(box[1], 0), min(box[2], height), min(box[3], width)
    if box[2] - box[0] < 2 or box[3] - box[1] < 2:
        return None
    margin = max(4, (box[2] - box[0] + box[3] - box[1]) // 8)
    around = widened(box, margin, rgb.shape)
    labels = np.full((around[2] - around[0], around[3] - around[1]), cv2.GC_BGD, np.uint8)
    inner = slices(box, around[:2])
    labels[inner] = cv2.GC_PR_FGD
    if probability is not None:
        share = probability[slices(box)]
        surely = (share > _SURE_IN).any()
        labels[inner][share > _SURE_IN] = cv2.GC_FGD
        # A net that has missed the object altogether must not forbid it.
        labels[inner][(share < _SURE_OUT) & surely] = cv2.GC_PR_BGD
    chosen = _cut(rgb[slices(around)], labels)[inner]
    return box, chosen


def _cut(rgb: NDArray[np.uint8], labels: Mask) -> Chosen:
    """GrabCut at a bounded size."""
    height, width = labels.shape
    shrink = min(1.0, _BOX_SIDE / max(height, width))
    size = max(round(width * shrink), 2), max(round(height * shrink), 2)
    pixels = np.ascontiguousarray(cv2.resize(coloured(rgb), size, interpolation=cv2.INTER_AREA)[..., ::-1])
    small = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    if not np.isin(small, (cv2.GC_FGD, cv2.GC_PR_FGD)).any() or not (small == cv2.GC_BGD).any():
        return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))  # the box is the whole image
    cv2.setRNGSeed(0)  # its colour models start at random places
    cv2.grabCut(pixels, small, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = np.isin(small, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    chosen: Chosen = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    return chosen
