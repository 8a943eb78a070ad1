"""A stroke in hand: it paints into the mask and keeps what was there before, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeler.editing.history import frozen
from labeler.editing.rects import Rect, changed_box, joined, overlap, shifted, slices
from labeler.records import Mask
from labeler.spans import Disc, Point, Spans, capsule, snapped

TILE = 256


@dataclass(slots=True)
class Stroke:
    """Paints ``value``, or the pixels of ``source`` where there is one, into ``mask``.

    Old pixels are kept by tile, copied when a tile is first touched.
    """

    mask: Mask
    value: int
    diameter: float
    name: str
    source: Mask | None = None
    tiles: dict[tuple[int, int], Mask] = field(default_factory=dict)
    last: Disc | None = None

    def draw(self, points: Sequence[Point]) -> Rect | None:
        """Draw from the last point through ``points``; those that are no numbers are passed over."""
        dirty: Rect | None = None
        for point in points:
            if all(map(math.isfinite, point)):
                tip = snapped(point, self.diameter), max(self.diameter, 1.0) / 2
                dirty = joined(dirty, self.paint(capsule(self.last or tip, tip, self.mask.shape)))
                self.last = tip
        return dirty

    def paint(self, spans: Spans) -> Rect | None:
        """Paint spans of columns per row; return the rectangle around them."""
        first, starts, ends = spans
        filled = np.flatnonzero(starts < ends)
        if not filled.size:
            return None
        self._keep_spans(spans)
        for row, start, end in zip(
            (filled + first).tolist(), starts[filled].tolist(), ends[filled].tolist(), strict=True
        ):
            self.mask[row, start:end] = self.value if self.source is None else self.source[row, start:end]
        rows = int(filled[0]) + first, int(filled[-1]) + first + 1
        return rows[0], int(starts[filled].min()), rows[1], int(ends[filled].max())

    def stamp(self, rect: Rect, chosen: NDArray[np.bool_]) -> Rect | None:
        """Paint the ``chosen`` pixels of ``rect``; return the rectangle."""
        if not chosen.any():
            return None
        for tile in _tiles_of(rect):
            self._keep(tile)
        self.mask[slices(rect)][chosen] = self.value if self.source is None else self.source[slices(rect)][chosen]
        return rect

    def rewind(self) -> Rect | None:
        """Take everything painted so far back; return the rectangle to redraw."""
        dirty: Rect | None = None
        for tile, old in self.tiles.items():
            self._tile(tile)[:] = old
            dirty = joined(dirty, _rect_of(tile, old))
        return dirty

    def kept(self) -> Iterator[tuple[Rect, Mask]]:
        """The tiles that were touched: where they lie, and what they were before."""
        return ((_rect_of(tile, old), old) for tile, old in self.tiles.items())

    def changed(self) -> Rect | None:
        """The smallest rectangle around the pixels that differ from before."""
        rect = None
        for tile, old in self.tiles.items():
            box = changed_box(old, self._tile(tile))
            if box is not None:
                rect = joined(rect, shifted(box, (tile[0] * TILE, tile[1] * TILE)))
        return rect

    def pixels_before(self, rect: Rect) -> Mask:
        """The pixels of ``rect`` as they were, read-only."""
        before = self.mask[slices(rect)].copy()
        for tile, old in self.tiles.items():
            place = _rect_of(tile, old)
            part = overlap(rect, place)
            if part is not None:
                before[slices(part, rect[:2])] = old[slices(part, place[:2])]
        return frozen(before)

    def _tile(self, tile: tuple[int, int]) -> Mask:
        row, column = tile
        return self.mask[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]

    def _keep(self, tile: tuple[int, int]) -> None:
        if tile not in self.tiles:
            self.tiles[tile] = self._tile(tile).copy()

    def _keep_spans(self, spans: Spans) -> None:
        # By band of tiles, not by bounding box: a long diagonal would otherwise copy the whole image.
        first, starts, ends = spans
        for band in range(first // TILE, (first + len(starts) - 1) // TILE + 1):
            rows = slice(max(band * TILE - first, 0), (band + 1) * TILE - first)
            some = starts[rows] < ends[rows]
            if some.any():
                left, right = int(starts[rows][some].min()), int(ends[rows][some].max())
                for column in range(left // TILE, (right - 1) // TILE + 1):
                    self._keep((band, column))


def _tiles_of(rect: Rect) -> Iterator[tuple[int, int]]:
    for row in range(rect[0] // TILE, (rect[2] - 1) // TILE + 1):
        for column in range(rect[1] // TILE, (rect[3] - 1) // TILE + 1):
            yield row, column


def _rect_of(tile: tuple[int, int], pixels: NDArray[Any]) -> Rect:
    return shifted((0, 0, *pixels.shape), (tile[0] * TILE, tile[1] * TILE))
