"""The tools of the canvas as small states without widgets: a brush that collects points, a polygon in the making."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from labeler.editing import MaskEditor, Patch, Rect, joined
from labeler.records import Mask
from labeler.spans import Point

MIN_DIAMETER, MAX_DIAMETER = 1.0, 1024.0


class Tool(StrEnum):
    """What the left mouse button does; named like the actions."""

    BRUSH = "brush"
    ERASER = "eraser"
    SMART_BRUSH = "smart_brush"
    SCRIBBLE = "scribble"
    POLYGON_ADD = "polygon_add"
    POLYGON_SUBTRACT = "polygon_subtract"
    LASSO = "lasso"
    BUCKET = "bucket"
    WAND = "wand"
    BOX = "box"
    RESTORE = "restore_brush"
    PAN = "pan"

    @property
    def paints(self) -> bool:
        """Whether it has a diameter."""
        return self in (Tool.BRUSH, Tool.ERASER, Tool.SMART_BRUSH, Tool.RESTORE)

    @property
    def is_polygon(self) -> bool:
        """Whether it takes corners."""
        return self in (Tool.POLYGON_ADD, Tool.POLYGON_SUBTRACT)


def limited_diameter(diameter: float) -> float:
    """A diameter within what the brush can do; NaN becomes the smallest."""
    return min(max(diameter, MIN_DIAMETER), MAX_DIAMETER) if diameter == diameter else MIN_DIAMETER


def stepped_diameter(diameter: float, steps: float) -> float:
    """``steps`` notches larger or smaller: 15 % each, and at least one pixel for a whole notch."""
    stepped = float(round(diameter * 1.15**steps))
    if abs(steps) >= 1 and stepped == round(diameter):
        stepped += math.copysign(1, steps)
    return limited_diameter(stepped if abs(steps) >= 1 else diameter * 1.15**steps)


Finder = Callable[[Point, float], tuple[Rect, NDArray[np.bool_]] | None]  # centre, diameter -> pixels to paint


class BrushInput:
    """Collects points between two flushes; a flush paints them all at once."""

    def __init__(self) -> None:
        self._editor: MaskEditor | None = None
        self._finder: Finder | None = None
        self._stamped: Point | None = None  # the last centre at which the finder was asked
        self._pending: list[tuple[Point, float]] = []  # with the diameter at that point
        self.last_point: Point | None = None  # where the newest stroke is or ended: a straight segment goes on from it

    @property
    def active(self) -> bool:
        """Whether a stroke is in hand; others may end it through the editor."""
        return self._editor is not None and self._editor.in_stroke

    def begin(
        self,
        editor: MaskEditor,
        *,
        value: int,
        diameter: float,
        straight: bool,
        source: Mask | None = None,
        finder: Finder | None = None,
    ) -> None:
        """Start a stroke; with ``straight`` it starts where the last one ended.

        It paints discs of ``value``, or with a ``source`` its pixels, or with a ``finder`` what that finds in a disc.
        """
        name = "revert" if source is not None else "smart brush" if finder else "brush" if value else "eraser"
        editor.begin_stroke(value=value, diameter=diameter, name=name, source=source)
        self._editor, self._finder, self._stamped = editor, finder, None
        self._pending = [(self.last_point, diameter)] if straight and self.last_point is not None else []

    def add(self, point: Point, diameter: float) -> None:
        """Append a point; nothing is painted yet."""
        self._pending.append((point, diameter))
        self.last_point = point

    def flush(self) -> Rect | None:
        """Paint what was collected; return the changed rectangle."""
        pending, self._pending = self._pending, []
        dirty: Rect | None = None
        if self._editor is None or not self._editor.in_stroke:
            return None
        if self._finder is not None:
            for point, diameter in pending:
                dirty = joined(dirty, self._stamp(self._editor, self._finder, point, diameter))
            return dirty
        for diameter, group in groupby(pending, key=lambda entry: entry[1]):
            dirty = joined(dirty, self._editor.extend_stroke([point for point, _ in group], diameter))
        return dirty

    def _stamp(self, editor: MaskEditor, finder: Finder, point: Point, diameter: float) -> Rect | None:
        """Ask the finder all the way from the last point, a third of the diameter apart."""
        start = self._stamped if self._stamped is not None else point
        steps = math.ceil(math.dist(start, point) / max(diameter / 3, 1.0))
        if self._stamped is not None and steps <= 1 and math.dist(start, point) < max(diameter / 8, 1.0):
            return None
        self._stamped = point
        dirty: Rect | None = None
        for step in range(1, max(steps, 1) + 1):
            share = step / max(steps, 1)
            centre = start[0] + (point[0] - start[0]) * share, start[1] + (point[1] - start[1]) * share
            found = finder(centre, diameter)
            dirty = dirty if found is None else joined(dirty, editor.stamp(*found))
        return dirty

    def finish(self) -> Patch | None:
        """End the stroke (flush first)."""
        editor, self._editor = self._editor, None
        return editor.end_stroke() if editor is not None else None

    def cancel(self) -> Rect | None:
        """Take the stroke back; return what to redraw."""
        editor, self._editor = self._editor, None
        self._pending = []
        return editor.cancel_stroke() if editor is not None else None

    def forget(self) -> None:
        """Another image: no straight segment starts from the old one."""
        self._editor, self._pending, self.last_point = None, [], None


class PolygonInput:
    """The corners clicked so far, in image coordinates."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def __bool__(self) -> bool:
        return bool(self.points)

    def add(self, point: Point) -> None:
        """Append a corner; a second click on the same spot adds none."""
        if not self.points or math.dist(self.points[-1], point) > 1e-6:
            self.points.append(point)

    def drop(self) -> None:
        """Take the last corner back."""
        if self.points:
            self.points.pop()

    def closes_at(self, point: Point, *, reach: float) -> bool:
        """Whether a click there means the first corner; ``reach`` in image pixels."""
        return len(self.points) >= 3 and math.dist(self.points[0], point) <= reach

    def take(self) -> list[Point]:
        """The corners; none are left."""
        taken, self.points = self.points, []
        return taken
