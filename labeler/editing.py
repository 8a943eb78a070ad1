"""The truth of the mask on the canvas: strokes, polygons, clean-ups, undo and redo. No Qt.

Points are (x, y) in image coordinates as in ``spans``: a shape paints the pixels whose centres lie in it.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from labeler.errors import MaskError
from labeler.records import Mask
from labeler.spans import Disc, Point, Spans, capsule, polygon_spans, snapped

Rect = tuple[int, int, int, int]  # y0, x0, y1, x1, half open

TILE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What one edit did: the pixels of ``rect`` before and after it, both (y1 - y0, x1 - x0) and read-only."""

    rect: Rect
    before: Mask
    after: Mask
    name: str


Entry = Patch | Literal["undo", "redo"]  # what a journal holds


@dataclass(frozen=True, slots=True)
class _Step:
    """A patch as the history keeps it. ``delta``, the packed exclusive or of before and after, leads both ways."""

    rect: Rect
    name: str
    delta: bytes

    @property
    def nbytes(self) -> int:
        return len(self.delta) + 256  # and what Python needs around it


class History:
    """Done and undone edits within a budget of bytes; the oldest are dropped first, the newest is always kept.

    A stroke takes some hundred bytes, whatever the size of its rectangle.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._done: deque[_Step] = deque()
        self._undone: list[_Step] = []

    @property
    def can_undo(self) -> bool:
        """Whether an edit is done."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether an edit is undone."""
        return bool(self._undone)

    def push(self, patch: Patch) -> None:
        """Append a new edit; what was undone before is forgotten."""
        step = _Step(patch.rect, patch.name, _packed(patch.before, patch.after))
        self._bytes += step.nbytes - sum(old.nbytes for old in self._undone)
        self._undone.clear()
        self._done.append(step)
        while self._bytes > self._budget and len(self._done) > 1:
            self._bytes -= self._done.popleft().nbytes

    def undo(self, mask: Mask) -> Patch | None:
        """The patch that takes the last edit of ``mask`` back; the edit counts as undone."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return _unpacked(self._undone[-1], mask)

    def redo(self, mask: Mask) -> Patch | None:
        """The patch that does the last undone edit of ``mask`` again; the edit counts as done."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return _unpacked(self._done[-1], mask)


@dataclass(slots=True)
class _Stroke:
    """A stroke in hand: old pixels are kept by tile, copied when a tile is first touched."""

    value: int
    diameter: float
    name: str
    tiles: dict[tuple[int, int], Mask]
    last: Disc | None = None


class MaskEditor:
    """A mask that is edited in place, with undo. ``mask`` is one array for life, so that a view of it may be drawn.

    While a stroke is in hand every other edit, undo and redo is refused (None): end the stroke first.
    """

    def __init__(self, mask: Mask, *, budget_bytes: int = 256 * 2**20) -> None:
        """Copy ``mask`` (H, W) uint8; MaskError where it is none."""
        if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
            raise MaskError(f"a mask of {mask.dtype} {mask.shape} cannot be edited; (height, width) uint8 is needed")
        self.mask: Mask = np.array(mask, order="C", copy=True)
        self.base: Mask = _frozen(self.mask.copy())
        self._budget = budget_bytes
        self._history = History(budget_bytes)
        self._stroke: _Stroke | None = None
        self._changed: bool | None = False  # None: not known, compare when asked

    @property
    def in_stroke(self) -> bool:
        """Whether a stroke has begun and not ended."""
        return self._stroke is not None

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return self._history.can_undo and not self.in_stroke

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit."""
        return self._history.can_redo and not self.in_stroke

    @property
    def is_changed(self) -> bool:
        """Whether any pixel differs from the mask as opened."""
        if self._changed is None:
            self._changed = not np.array_equal(self.mask, self.base)
        return self._changed

    # Strokes

    def begin_stroke(self, *, value: int, diameter: float, name: str = "brush") -> None:
        """Start a stroke that paints ``value``; a stroke still in hand is ended first."""
        self.end_stroke()
        self._stroke = _Stroke(value=value, diameter=diameter, name=name, tiles={})

    def extend_stroke(self, points: Sequence[Point], diameter: float | None = None) -> Rect | None:
        """Draw from the last point through ``points``; return the rectangle that may have changed, None for none.

        With another ``diameter`` (in image pixels) the stroke tapers from the last one to it. Without a stroke in hand
        nothing happens.
        """
        stroke = self._stroke
        if stroke is None:
            return None
        stroke.diameter = diameter if diameter is not None else stroke.diameter
        dirty: Rect | None = None
        for point in points:
            if not all(map(math.isfinite, point)):
                continue
            tip = snapped(point, stroke.diameter), max(stroke.diameter, 1.0) / 2
            dirty = joined(dirty, self._paint(stroke, capsule(stroke.last or tip, tip, self.mask.shape)))
            stroke.last = tip
        if dirty is not None:
            self._changed = None
        return dirty

    def end_stroke(self) -> Patch | None:
        """Finish the stroke; None if there was none or it changed no pixel."""
        stroke, self._stroke = self._stroke, None
        if stroke is None:
            return None
        rect = None
        for (row, column), old in stroke.tiles.items():
            box = changed_box(old, self._tile(row, column))
            if box is not None:
                y, x = row * TILE, column * TILE
                rect = joined(rect, (box[0] + y, box[1] + x, box[2] + y, box[3] + x))
        if rect is None:
            return None
        patch = Patch(rect, self._pixels_before(stroke, rect), _frozen(self.mask[_slices(rect)].copy()), stroke.name)
        self._history.push(patch)
        return patch

    def cancel_stroke(self) -> Rect | None:
        """Take the stroke in hand back; return the rectangle to redraw."""
        stroke, self._stroke = self._stroke, None
        dirty: Rect | None = None
        for (row, column), old in stroke.tiles.items() if stroke else ():
            self._tile(row, column)[:] = old
            y, x = row * TILE, column * TILE
            dirty = joined(dirty, (y, x, y + old.shape[0], x + old.shape[1]))
        return dirty

    def _tile(self, row: int, column: int) -> Mask:
        return self.mask[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]

    def _paint(self, stroke: _Stroke, spans: Spans) -> Rect | None:
        first, starts, ends = spans
        filled = np.flatnonzero(starts < ends)
        if not filled.size:
            return None
        self._keep_tiles(stroke, spans)
        for row, start, end in zip(
            (filled + first).tolist(), starts[filled].tolist(), ends[filled].tolist(), strict=True
        ):
            self.mask[row, start:end] = stroke.value
        rows = int(filled[0]) + first, int(filled[-1]) + first + 1
        return rows[0], int(starts[filled].min()), rows[1], int(ends[filled].max())

    def _keep_tiles(self, stroke: _Stroke, spans: Spans) -> None:
        # By band of tiles, not by bounding box: a long diagonal would otherwise copy the whole image.
        first, starts, ends = spans
        for band in range(first // TILE, (first + len(starts) - 1) // TILE + 1):
            rows = slice(max(band * TILE - first, 0), (band + 1) * TILE - first)
            some = starts[rows] < ends[rows]
            if not some.any():
                continue
            left, right = int(starts[rows][some].min()), int(ends[rows][some].max())
            for column in range(left // TILE, (right - 1) // TILE + 1):
                if (band, column) not in stroke.tiles:
                    stroke.tiles[band, column] = self._tile(band, column).copy()

    def _pixels_before(self, stroke: _Stroke, rect: Rect) -> Mask:
        before = self.mask[_slices(rect)].copy()
        for (row, column), old in stroke.tiles.items():
            y, x = row * TILE, column * TILE
            part = overlap(rect, (y, x, y + old.shape[0], x + old.shape[1]))
            if part is not None:
                before[_slices(part, rect[:2])] = old[_slices(part, (y, x))]
        return _frozen(before)

    # Edits at once

    def fill_polygon(self, points: Sequence[Point], *, value: int) -> Patch | None:
        """Set the pixels inside a polygon (even-odd where it crosses itself) to ``value``."""
        height, width = self.mask.shape
        ys = [y for _, y in points]
        if len(points) < 3 or not all(math.isfinite(v) for point in points for v in point):
            return None
        top, bottom = max(math.ceil(min(ys) - 0.5), 0), min(math.floor(max(ys) - 0.5) + 1, height)
        if top >= bottom:
            return None
        after = self.mask[top:bottom].copy()
        for row, start, end in polygon_spans(points, (top, bottom), width):
            after[row - top, start:end] = value
        return self._edit((top, 0, bottom, width), after, "polygon")

    def fill_holes(self) -> Patch | None:
        """Fill background that is enclosed by foreground, each hole with the class that touches it most."""
        holes = (self.mask == 0).astype(np.uint8)
        count, names, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=4)
        height, width = self.mask.shape
        after = self.mask.copy()
        for name in range(1, count):
            x, y, w, h, _ = stats[name].tolist()
            if x == 0 or y == 0 or x + w == width or y + h == height:
                continue
            around = slice(y - 1, y + h + 1), slice(x - 1, x + w + 1)
            hole = (names[around] == name).astype(np.uint8)
            ring = cv2.dilate(hole, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > hole
            after[around][hole > 0] = np.bincount(self.mask[around][ring]).argmax()
        return self._edit((0, 0, height, width), after, "fill holes")

    def remove_specks(self, smaller_than: int) -> Patch | None:
        """Clear connected parts of one class (8 neighbours) of fewer than ``smaller_than`` pixels."""
        after = self.mask.copy()
        for value in np.flatnonzero(np.bincount(self.mask.ravel(), minlength=2))[1 if (self.mask == 0).any() else 0 :]:
            part = (self.mask == value).astype(np.uint8)
            _, names, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
            small = stats[:, cv2.CC_STAT_AREA] < smaller_than
            small[0] = False
            after[small[names]] = 0
        return self._edit((0, 0, *self.mask.shape), after, "remove specks")

    def invert(self, *, value: int = 1) -> Patch | None:
        """Make the background ``value`` and all foreground background."""
        after = np.where(self.mask == 0, np.uint8(value), np.uint8(0))
        return self._edit((0, 0, *self.mask.shape), after, "invert")

    def replace(self, mask: Mask, name: str) -> Patch | None:
        """Take over all pixels of another mask; MaskError where its size or type differs."""
        return self._edit((0, 0, *self.mask.shape), self._fitting_mask(mask), name)

    def rebase(self, mask: Mask) -> None:
        """Go on from another mask as if the editor had been opened with it: unchanged, with nothing to undo."""
        self.cancel_stroke()
        self.mask[:] = self._fitting_mask(mask)
        self.base = _frozen(self.mask.copy())
        self._history, self._changed = History(self._budget), False

    def undo(self) -> Patch | None:
        """Take the last edit back; the patch returned is what was applied."""
        return None if self.in_stroke else self._applied(self._history.undo(self.mask))

    def redo(self) -> Patch | None:
        """Do the last undone edit again; the patch returned is what was applied."""
        return None if self.in_stroke else self._applied(self._history.redo(self.mask))

    def restore(self, entries: Iterable[Entry]) -> None:
        """Replay a journal: afterwards mask, undo and redo are as they were. MaskError where an entry does not fit;
        the entries before it stay applied."""
        self.end_stroke()
        for entry in entries:
            if entry == "undo":
                self.undo()
            elif entry == "redo":
                self.redo()
            else:
                self._history.push(self._fitting(entry))
                self._applied(entry)

    def _edit(self, rect: Rect, after: Mask, name: str) -> Patch | None:
        box = None if self.in_stroke else changed_box(self.mask[_slices(rect)], after)
        if box is None:
            return None
        whole = box[0] + rect[0], box[1] + rect[1], box[2] + rect[0], box[3] + rect[1]
        before = _frozen(self.mask[_slices(whole)].copy())
        patch = Patch(whole, before, _frozen(after[_slices(box)].copy()), name)
        self._history.push(patch)
        return self._applied(patch)

    def _applied(self, patch: Patch | None) -> Patch | None:
        if patch is not None:
            self.mask[_slices(patch.rect)] = patch.after
            self._changed = None
        return patch

    def _fitting_mask(self, mask: Mask) -> Mask:
        if mask.shape != self.mask.shape or mask.dtype != np.uint8:
            raise MaskError(
                f"a mask of {mask.dtype} {mask.shape} does not fit one of uint8 {self.mask.shape}; "
                "it belongs to another image"
            )
        return mask

    def _fitting(self, patch: Patch) -> Patch:
        y0, x0, y1, x1 = patch.rect
        inside = 0 <= y0 < y1 <= self.mask.shape[0] and 0 <= x0 < x1 <= self.mask.shape[1]
        sizes = {patch.before.shape, patch.after.shape}
        if (
            not inside
            or sizes != {(y1 - y0, x1 - x0)}
            or not np.array_equal(self.mask[_slices(patch.rect)], patch.before)
        ):
            raise MaskError("a recorded stroke does not fit this mask; the strokes before it were restored")
        return patch


def joined(one: Rect | None, other: Rect | None) -> Rect | None:
    """The smallest rectangle around both."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def overlap(one: Rect, other: Rect) -> Rect | None:
    """The rectangle that both share."""
    y0, x0, y1, x1 = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    return (y0, x0, y1, x1) if y0 < y1 and x0 < x1 else None


def changed_box(before: Mask, after: Mask) -> Rect | None:
    """The smallest rectangle around the pixels that differ, None where none does."""
    differs = before != after
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _slices(rect: Rect, origin: Sequence[int] = (0, 0)) -> tuple[slice, slice]:
    return slice(rect[0] - origin[0], rect[2] - origin[0]), slice(rect[1] - origin[1], rect[3] - origin[1])


def _frozen(pixels: Mask) -> Mask:
    pixels.flags.writeable = False
    return pixels


def _packed(before: Mask, after: Mask) -> bytes:
    # Runs are what masks are made of. By strips, as a second array of the size of a large patch costs more to allocate
    # than to fill.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    strips = range(0, len(before), 64)
    return b"".join([packer.compress((before[y : y + 64] ^ after[y : y + 64]).data) for y in strips]) + packer.flush()


def _unpacked(step: _Step, mask: Mask) -> Patch:
    before = mask[_slices(step.rect)].copy()
    delta = np.frombuffer(zlib.decompress(step.delta), np.uint8).reshape(before.shape)
    return Patch(step.rect, _frozen(before), _frozen(before ^ delta), step.name)
