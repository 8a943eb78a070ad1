"""Outlines moved to the edges of the image, where it has some; an outline that no edge speaks against stays.

Every pixel near an outline goes to the class whose colour around there it resembles most. What it belongs to now
counts too, the more the farther it lies from the outline: without contrast, or in noise, nothing moves.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeler.editing.rects import Rect, box_of, slices, widened
from labeler.editing.smart import coloured
from labeler.records import Mask

_REACH = 4  # px that an outline moves at most in a pass
_PASSES = 3
_AROUND = 11  # px, side of the window in which a class's colour is taken
_INERTIA = 0.35  # times the depth in reaches, beside the share of the contrast that speaks for another class
_NOISE = 4.0  # of 255: differences in colour that mean nothing
_SURE = 1.0  # px inside of the outline, from where a pixel tells its class's colour
_TILE, _PAD = 512, 40  # px; a pass looks 13 px around a pixel, so the pad holds all that the tile depends on


def snapped_to_edges(pixels: NDArray[np.uint8], mask: Mask) -> tuple[Rect, Mask] | None:
    """The mask with its outlines on the edges of an image (H, W) or (H, W, 3); None without foreground.

    No part is lost: one of which nothing would be left stays as it is.
    """
    box = box_of(mask)
    if box is None:
        return None
    rect = widened(box, _PAD, mask.shape)
    after = mask[slices(rect)].copy()
    for top in range(rect[0], rect[2], _TILE):
        for left in range(rect[1], rect[3], _TILE):
            tile = (top, left, min(top + _TILE, rect[2]), min(left + _TILE, rect[3]))
            seen = widened(tile, _PAD, mask.shape)
            old = mask[slices(seen)]
            if old.min() != old.max():
                after[slices(tile, rect)] = _snapped(pixels[slices(seen)], old)[slices(tile, seen)]
    _put_lost_parts_back(mask[slices(rect)], after)
    return rect, after


def _snapped(pixels: NDArray[np.uint8], mask: Mask) -> Mask:
    smooth = cv2.GaussianBlur(coloured(pixels), (0, 0), 1.0).astype(np.float32)
    for _ in range(_PASSES):
        mask = _moved(smooth, mask) if mask.any() else mask
    return mask


def _moved(image: NDArray[np.float32], mask: Mask) -> Mask:
    """One pass over ``image`` (h, w, 3); only the pixels near an outline are looked at."""
    values = np.unique(mask)
    first = _depth(mask == values[0])
    depths = [first, -first] if len(values) == 2 else [first, *(_depth(mask == value) for value in values[1:])]
    near = np.abs(depths).min(axis=0) <= _REACH
    means, known = zip(*(_colour_around(image, depth, near) for depth in depths), strict=True)
    away = np.abs(image[near] - np.stack(means)).mean(axis=2)
    own = np.stack(means)[np.searchsorted(values, mask[near]), np.arange(near.sum())]
    contrast = np.where(known, np.abs(np.stack(means) - own).mean(axis=2), 0).max(axis=0)
    inside = np.stack([depth[near] for depth in depths]) / _REACH
    cost = np.where(known, away / (contrast + _NOISE), np.inf) - _INERTIA * inside
    moved = mask.copy()
    moved[near] = values[cost.argmin(axis=0)]
    return np.where(near, cv2.medianBlur(moved, 3), mask)


def _depth(part: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Pixels to the outline of a part: positive inside, negative outside. The rim of the image is no outline."""
    inside = cv2.copyMakeBorder(part.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    found: NDArray[np.float32] = depth[1:-1, 1:-1].clip(-2 * _REACH, 2 * _REACH)
    return found


def _colour_around(
    image: NDArray[np.float32], depth: NDArray[np.float32], near: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean colour (n, 3) of a class in the window around each of n pixels, and where there is any of it."""
    window = (_AROUND, _AROUND)
    sure = (depth > _SURE).astype(np.float32)
    thin = cv2.boxFilter(sure, -1, window, normalize=False) < 1  # of which nothing lies deep
    sure[(depth > 0) & thin] = 1
    count = cv2.boxFilter(sure, -1, window, normalize=False)[near]
    total = cv2.boxFilter(image * sure[..., None], -1, window, normalize=False)[near]
    return total / np.maximum(count, 1)[:, None], count > 0.5


def _put_lost_parts_back(before: Mask, after: Mask) -> None:
    """Parts and holes of which no pixel is left, as they were."""
    for value in np.unique(before):
        count, names = cv2.connectedComponents((before == value).astype(np.uint8), connectivity=8)
        left = np.bincount(names[after == value], minlength=count) > 0
        left[0] = True
        lost = ~left[names]
        after[lost] = value
