"""Closed outlines: which pixels a polygon or a lasso holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labeler.editing.rects import Rect
from labeler.records import Mask
from labeler.spans import Point, polygon_spans


def filled(mask: Mask, points: Sequence[Point], value: int, *, encircled: bool = False) -> tuple[Rect, Mask] | None:
    """The band of rows that a closed outline touches, with its inside set to ``value``; None where it holds no pixel.

    Where the outline crosses itself the even-odd rule holds, or with ``encircled`` all is inside that it goes around.
    """
    height, width = mask.shape
    if len(points) < 3 or not all(math.isfinite(v) for point in points for v in point):
        return None
    ys = [y for _, y in points]
    top, bottom = max(math.ceil(min(ys) - 0.5), 0), min(math.floor(max(ys) - 0.5) + 1, height)
    if top >= bottom:
        return None
    after = mask[top:bottom].copy()
    for row, start, end in polygon_spans(points, (top, bottom), width, nonzero=encircled):
        after[row - top, start:end] = value
    return (top, 0, bottom, width), after
