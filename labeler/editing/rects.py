"""Rectangles of pixels: rows and columns, half open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler.records import Mask

Rect = tuple[int, int, int, int]  # y0, x0, y1, x1, half open


def joined(one: Rect | None, other: Rect | None) -> Rect | None:
    """The smallest rectangle around both."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def overlap(one: Rect, other: Rect) -> Rect | None:
    """The rectangle that both share."""
    y0, x0, y1, x1 = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    return (y0, x0, y1, x1) if y0 < y1 and x0 < x1 else None


def widened(rect: Rect, margin: int, shape: tuple[int, ...]) -> Rect:
    """The rectangle with ``margin`` pixels more on each side, within an image of ``shape``."""
    y0, x0, y1, x1 = rect
    return max(y0 - margin, 0), max(x0 - margin, 0), min(y1 + margin, shape[0]), min(x1 + margin, shape[1])


def shifted(rect: Rect, origin: Sequence[int]) -> Rect:
    """The rectangle moved by ``origin`` (rows, columns)."""
    return rect[0] + origin[0], rect[1] + origin[1], rect[2] + origin[0], rect[3] + origin[1]


def changed_box(before: Mask, after: Mask) -> Rect | None:
    """The smallest rectangle around the pixels that differ, None where none does."""
    return box_of(before != after)


def box_of(chosen: NDArray[Any]) -> Rect | None:
    """The smallest rectangle around what is not zero, None where all is."""
    rows, columns = np.flatnonzero(chosen.any(axis=1)), np.flatnonzero(chosen.any(axis=0))
    if not rows.size:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def slices(rect: Rect, origin: Sequence[int] = (0, 0)) -> tuple[slice, slice]:
    """To cut ``rect`` out of an array whose first pixel is ``origin``."""
    return slice(rect[0] - origin[0], rect[2] - origin[0]), slice(rect[1] - origin[1], rect[3] - origin[1])
