"""The truth of the mask on the canvas: a mask edited in place, with strokes, edits at once, undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from labeler.editing import polygon, regions
from labeler.editing.history import Edit, Entry, History, Patch, checksum, frozen, unfit
from labeler.editing.rects import Rect, changed_box, shifted, slices
from labeler.editing.snapping import snapped_to_edges
from labeler.editing.stroke import Stroke
from labeler.errors import MaskError
from labeler.records import Mask
from labeler.spans import Point

SMOOTHING_PX = 1.5


class MaskEditor:
    """A mask that is edited in place, with undo. ``mask`` is one array for life, so that a view of it may be drawn.

    While a stroke is in hand every other edit, undo and redo is refused (None): end the stroke first.
    """

    def __init__(self, mask: Mask, *, budget_bytes: int = 256 * 2**20) -> None:
        """Copy ``mask`` (H, W) uint8; MaskError where it is none. A read-only one is kept as ``base`` itself."""
        if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
            raise MaskError(f"a mask of {mask.dtype} {mask.shape} cannot be edited; (height, width) uint8 is needed")
        self.mask: Mask = np.array(mask, order="C", copy=True)
        self.base: Mask = _kept(mask)
        self.begins_empty = False  # known to; a mask that is given is not looked through
        self._budget = budget_bytes
        self._history = History(budget_bytes)
        self._stroke: Stroke | None = None
        self._differing = 0  # pixels that differ from the base, without the stroke in hand

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> MaskEditor:
        """An empty mask: its memory is taken as it is painted on, so that a huge one opens at once."""
        editor = cls(np.zeros((1, 1), np.uint8))
        editor.mask, editor.base = np.zeros(shape, np.uint8), frozen(np.zeros(shape, np.uint8))
        editor.begins_empty = True
        return editor

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
        stroke = self._stroke
        gained = 0 if stroke is None else sum(self._gained(rect, old) for rect, old in stroke.kept())
        return self._differing + gained > 0

    def _gained(self, rect: Rect, before: Mask) -> int:
        """How many more pixels of ``rect`` differ from the base now than in ``before``; compared there only."""
        part = slices(rect)
        return int(np.count_nonzero(self.mask[part] != self.base[part]) - np.count_nonzero(before != self.base[part]))

    # Strokes

    def begin_stroke(
        self, *, value: int, diameter: float = 1.0, name: str = "brush", source: Mask | None = None
    ) -> None:
        """Start a stroke that paints ``value``, or the pixels of ``source`` (H, W); one still in hand is ended first.

        MaskError where ``source`` is of another image.
        """
        self.end_stroke()
        if source is not None:
            self._fitting_mask(source)
        self._stroke = Stroke(self.mask, value=value, diameter=diameter, name=name, source=source)

    def extend_stroke(self, points: Sequence[Point], diameter: float | None = None) -> Rect | None:
        """Draw from the last point through ``points``; return the rectangle that may have changed, None for none.

        With another ``diameter`` (in image pixels) the stroke tapers from the last one to it. Without a stroke in hand
        nothing happens.
        """
        stroke = self._stroke
        if stroke is None:
            return None
        stroke.diameter = diameter if diameter is not None else stroke.diameter
        return stroke.draw(points)

    def stamp(self, rect: Rect, chosen: NDArray[np.bool_]) -> Rect | None:
        """Let the stroke in hand paint the ``chosen`` pixels of ``rect``; return what may have changed."""
        return None if self._stroke is None else self._stroke.stamp(rect, chosen)

    def rewind_stroke(self) -> Rect | None:
        """Take back what the stroke in hand has painted so far, and go on with it; return what to redraw."""
        return None if self._stroke is None else self._stroke.rewind()

    def end_stroke(self) -> Patch | None:
        """Finish the stroke; None if there was none or it changed no pixel."""
        stroke, self._stroke = self._stroke, None
        rect = None if stroke is None else stroke.changed()
        if stroke is None or rect is None:
            return None
        patch = Patch(rect, stroke.pixels_before(rect), frozen(self.mask[slices(rect)].copy()), stroke.name)
        self._differing += self._gained(rect, patch.before)
        self._history.push(patch)
        return patch

    def cancel_stroke(self) -> Rect | None:
        """Take the stroke in hand back; return the rectangle to redraw."""
        stroke, self._stroke = self._stroke, None
        return None if stroke is None else stroke.rewind()

    # Edits at once

    def put(self, rect: Rect, pixels: Mask, name: str) -> Patch | None:
        """Set the pixels of ``rect`` as one edit; None where nothing changes, or a stroke is in hand."""
        box = None if self.in_stroke else changed_box(self.mask[slices(rect)], pixels)
        if box is None:
            return None
        whole = shifted(box, rect[:2])
        before = frozen(self.mask[slices(whole)].copy())
        patch = Patch(whole, before, frozen(pixels[slices(box)].copy()), name)
        self._history.push(patch)
        return self._applied(patch)

    def fill_polygon(self, points: Sequence[Point], *, value: int) -> Patch | None:
        """Set the pixels inside a polygon (even-odd where it crosses itself) to ``value``."""
        made = polygon.filled(self.mask, points, value)
        return None if made is None else self.put(*made, "polygon")

    def fill_lasso(self, points: Sequence[Point], *, value: int) -> Patch | None:
        """Set all that a closed outline goes around to ``value``."""
        made = polygon.filled(self.mask, points, value, encircled=True)
        return None if made is None else self.put(*made, "lasso")

    def fill_part(self, point: Point, *, value: int) -> Patch | None:
        """Set the connected part of one value that ``point`` lies in to ``value``."""
        found = regions.connected(self.mask, point)
        if found is None:
            return None
        rect, chosen = found
        after = self.mask[slices(rect)].copy()
        after[chosen] = value
        return self.put(rect, after, "bucket")

    def fill_holes(self) -> Patch | None:
        """Fill background that is enclosed by foreground, each hole with the class that touches it most."""
        return self._put_all(regions.holes_filled(self.mask), "fill holes")

    def remove_specks(self, smaller_than: int) -> Patch | None:
        """Clear connected parts of one class (8 neighbours) of fewer than ``smaller_than`` pixels."""
        return self._put_all(regions.specks_removed(self.mask, smaller_than), "remove specks")

    def smooth(self, radius: float = SMOOTHING_PX) -> Patch | None:
        """Round the outlines of all classes at the scale of ``radius`` pixels; no part and no hole is lost."""
        made = regions.smoothed(self.mask, radius)
        return None if made is None else self.put(*made, "smooth")

    def snap(self, pixels: NDArray[np.uint8]) -> Patch | None:
        """Move the outlines to the edges of an image (H, W) or (H, W, 3)."""
        made = snapped_to_edges(pixels, self.mask)
        return None if made is None else self.put(*made, "snap")

    def invert(self, *, value: int = 1) -> Patch | None:
        """Make the background ``value`` and all foreground background."""
        return self._put_all(regions.inverted(self.mask, value), "invert")

    def replace(self, mask: Mask, name: str) -> Patch | None:
        """Take over all pixels of another mask; MaskError where its size or type differs."""
        return self._put_all(self._fitting_mask(mask), name)

    def _put_all(self, pixels: Mask, name: str) -> Patch | None:
        return self.put((0, 0, *self.mask.shape), pixels, name)

    def rebase(self, mask: Mask) -> None:
        """Go on from another mask as if the editor had been opened with it: unchanged, with nothing to undo."""
        self.cancel_stroke()
        self.mask[:] = self._fitting_mask(mask)
        self.base, self.begins_empty = _kept(mask), False
        self._history, self._differing = History(self._budget), 0

    # Back and forth

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
                patch = self._fitting(entry)
                self._history.push(patch)
                self._applied(patch)

    def _applied(self, patch: Patch | None) -> Patch | None:
        if patch is not None:
            self.mask[slices(patch.rect)] = patch.after
            self._differing += self._gained(patch.rect, patch.before)
        return patch

    def _fitting_mask(self, mask: Mask) -> Mask:
        if mask.shape != self.mask.shape or mask.dtype != np.uint8:
            raise MaskError(
                f"a mask of {mask.dtype} {mask.shape} does not fit one of uint8 {self.mask.shape}; "
                "it belongs to another image"
            )
        return mask

    def _fitting(self, entry: Patch | Edit) -> Patch:
        edit = entry.edit if isinstance(entry, Patch) else entry
        y0, x0, y1, x1 = edit.rect
        inside = 0 <= y0 < y1 <= self.mask.shape[0] and 0 <= x0 < x1 <= self.mask.shape[1]
        if not inside or checksum(self.mask[slices(edit.rect)]) != edit.was:
            raise unfit()
        return edit.patch(self.mask)


def _kept(mask: Mask) -> Mask:
    """Itself where nobody can write to it any more, else a read-only copy."""
    return frozen(mask.copy()) if mask.flags.writeable else mask
