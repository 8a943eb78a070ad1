"""Which pixels a stroke or a polygon covers, as spans of columns per row.

Coordinates are (x, y) in image pixels; pixel (row, column) covers [column, column + 1) x [row, row + 1), so its centre
lies at (column + 0.5, row + 0.5). A shape covers the pixels whose centres lie in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]  # x, y
Disc = tuple[Point, float]  # centre, radius
# First row; for each row the first column and the one past the last.
Spans = tuple[int, NDArray[np.int64], NDArray[np.int64]]


def snapped(point: Point, diameter: float) -> Point:
    """The point, or for a brush thinner than two pixels, which may slip between all centres, the nearest centre."""
    return point if diameter >= 2 else (math.floor(point[0]) + 0.5, math.floor(point[1]) + 0.5)


def capsule(one: Disc, other: Disc, shape: tuple[int, ...]) -> Spans:
    """Pixel spans of the convex hull of two discs (point, radius): one span per row, as the shape is convex."""
    discs = (one,) if one == other else (one, other)
    top = max(math.ceil(min(y - r for (_, y), r in discs) - 0.5), 0)
    bottom = min(math.floor(max(y + r for (_, y), r in discs) - 0.5) + 1, shape[0])
    rows = np.arange(top, max(bottom, top)) + 0.5
    left, right = np.full(rows.shape, np.inf), np.full(rows.shape, -np.inf)
    for (x, y), radius in discs:
        squared = radius**2 - (rows - y) ** 2
        half = np.sqrt(np.maximum(squared, 0))
        np.minimum(left, x - half, out=left, where=squared >= 0)
        np.maximum(right, x + half, out=right, where=squared >= 0)
    for (x0, y0), (x1, y1) in _tangent_sides(*discs) if len(discs) == 2 else ():
        if y0 == y1:
            continue
        edge = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
        on_edge = (rows >= min(y0, y1)) & (rows <= max(y0, y1))
        np.minimum(left, edge, out=left, where=on_edge)
        np.maximum(right, edge, out=right, where=on_edge)
    starts = np.clip(np.ceil(left - 0.5), 0, shape[1]).astype(np.int64)
    ends = np.clip(np.floor(right - 0.5) + 1, 0, shape[1]).astype(np.int64)
    return top, starts, ends


def _tangent_sides(one: Disc, other: Disc) -> list[tuple[Point, Point]]:
    """The two outer tangents of two discs and the two chords that close them to a quadrilateral."""
    ((x0, y0), r0), ((x1, y1), r1) = one, other
    distance = math.hypot(x1 - x0, y1 - y0)
    if distance <= abs(r0 - r1):
        return []  # one disc holds the other
    ux, uy = (x1 - x0) / distance, (y1 - y0) / distance
    along = (r0 - r1) / distance
    across = math.sqrt(1 - along**2)
    corners = []
    for side in (across, -across):
        nx, ny = along * ux - side * uy, along * uy + side * ux
        corners += [(x0 + r0 * nx, y0 + r0 * ny), (x1 + r1 * nx, y1 + r1 * ny)]
    a0, a1, b0, b1 = corners
    return [(a0, a1), (b0, b1), (a0, b0), (a1, b1)]


def polygon_spans(
    points: Sequence[Point], rows: tuple[int, int], width: int, *, nonzero: bool = False
) -> Iterator[tuple[int, int, int]]:
    """(row, first column, column past the last) of the inside of a polygon.

    Inside is by the even-odd rule, or with ``nonzero`` wherever the outline goes around.
    """
    crossings: list[NDArray[np.float64]] = []  # rows of (row, x, +1 downwards or -1 upwards)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        low, high = sorted((y0, y1))
        # Half open in y, so that a vertex on a row's centre counts once.
        first, last = max(math.ceil(low - 0.5), rows[0]), min(math.ceil(high - 0.5), rows[1])
        if first < last:
            row = np.arange(first, last, dtype=np.float64)
            x = x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            crossings.append(np.stack([row, x, np.full_like(x, 1 if y1 > y0 else -1)], axis=1))
    if not crossings:
        return
    table = np.concatenate(crossings)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    columns = np.clip(np.ceil(table[:, 1] - 0.5), 0, width).astype(np.int64)
    lines = table[:, 0].astype(np.int64)
    if nonzero:
        # Each row's crossings sum to zero, so that one running sum serves all rows.
        around = np.cumsum(table[:, 2].astype(np.int64))
        enters, leaves = np.concatenate([[0], around[:-1]]) == 0, around == 0
    else:
        enters = np.arange(len(table)) % 2 == 0
        leaves = ~enters
    yield from zip(lines[enters].tolist(), columns[enters].tolist(), columns[leaves].tolist(), strict=True)
