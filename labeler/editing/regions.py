"""Clean-ups of a whole mask, and its connected parts. Every function leaves the mask given to it as it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.editing.rects import Rect, box_of, slices, widened
from labeler.records import Mask
from labeler.spans import Point

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def holes_filled(mask: Mask) -> Mask:
    """Background that is enclosed by foreground filled, each hole with the class that touches it most."""
    holes = (mask == 0).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=4)
    height, width = mask.shape
    after = mask.copy()
    for name in range(1, count):
        x, y, w, h, _ = stats[name].tolist()
        if x == 0 or y == 0 or x + w == width or y + h == height:
            continue
        around = slice(y - 1, y + h + 1), slice(x - 1, x + w + 1)
        hole = (names[around] == name).astype(np.uint8)
        ring = cv2.dilate(hole, _CROSS) > hole
        after[around][hole > 0] = np.bincount(mask[around][ring]).argmax()
    return after


def specks_removed(mask: Mask, smaller_than: int) -> Mask:
    """Connected parts of one class (8 neighbours) of fewer than ``smaller_than`` pixels cleared."""
    after = mask.copy()
    for value in classes_in(mask):
        part = (mask == value).astype(np.uint8)
        _, names, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] < smaller_than
        small[0] = False
        after[small[names]] = 0
    return after


def smoothed(mask: Mask, radius: float) -> tuple[Rect, Mask] | None:
    """Outlines rounded at the scale of ``radius`` pixels: every pixel takes the class that weighs most around it.

    Parts and holes too small to survive that stay as they are. None for a mask without foreground.
    """
    box = box_of(mask)
    if box is None:
        return None
    rect = widened(box, round(3 * radius) + 1, mask.shape)
    before = mask[slices(rect)]
    after = np.zeros_like(before)
    best = np.zeros(before.shape, np.float32)
    for value in (0, *classes_in(mask)):
        share = cv2.GaussianBlur((before == value).astype(np.float32), (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
        wins = share > best
        after[wins], best[wins] = value, share[wins]
    for value in (0, *classes_in(mask)):
        _restore_lost(before, after, value)
    return rect, after


def _restore_lost(before: Mask, after: Mask, value: int) -> None:
    """Put the parts of one value of which nothing is left back."""
    _, names = cv2.connectedComponents((before == value).astype(np.uint8), connectivity=8 if value else 4)
    lost = np.ones(int(names.max()) + 1, bool)
    lost[names[after == value]] = False
    lost[0] = False
    if lost.any():
        after[lost[names]] = value


def inverted(mask: Mask, value: int) -> Mask:
    """Background becomes ``value`` and all foreground background."""
    return np.where(mask == 0, np.uint8(value), np.uint8(0))


def connected(mask: Mask, point: Point) -> tuple[Rect, NDArray[np.bool_]] | None:
    """Rectangle and pixels (bool) of the part that ``point`` lies in: the same value, touching.

    Background touches by its sides and a class also by its corners, so that a thin slanted line is one part and
    does not leak. None outside the image.
    """
    row, column = int(np.floor(point[1])), int(np.floor(point[0]))
    height, width = mask.shape
    if not (0 <= row < height and 0 <= column < width):
        return None
    flags = (8 if mask[row, column] else 4) | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    reached = np.zeros((height + 2, width + 2), np.uint8)
    # The image is only read with MASK_ONLY, but must be writable.
    _, _, _, (x, y, w, h) = cv2.floodFill(mask, reached, (column, row), 0, 0, 0, flags)
    rect = y, x, y + h, x + w
    return rect, reached[1:-1, 1:-1][slices(rect)] > 0


def parts(mask: Mask) -> list[Rect]:
    """Rectangles around the connected parts of every class, in reading order of their upper left corners."""
    found: list[Rect] = []
    for value in classes_in(mask):
        _, _, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=8)
        found += [(y, x, y + h, x + w) for x, y, w, h, _ in stats[1:].tolist()]
    return sorted(found)


def classes_in(mask: Mask) -> list[int]:
    """The values of the foreground that occur."""
    counts = np.bincount(mask.ravel(), minlength=256)
    return [value for value in np.flatnonzero(counts).tolist() if value]
