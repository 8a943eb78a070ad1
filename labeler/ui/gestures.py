"""What one press of the button does with the tools that are no brush: lasso, bucket, wand, box, scribble.

A gesture collects points while events come, works once a frame (``flush``), and makes one edit at its end. None of
them is a widget; what is to be seen while the button is down is their ``outline``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication

from labeler import editing
from labeler.editing import MaskEditor, Patch, Rect, Scribble, slices
from labeler.spans import Point
from labeler.ui.tools import Tool

WAND_TOLERANCE = 16.0  # differences of 0..255 that a mere click allows
_WAND_PER_PX = 0.35  # and what each pixel of the screen that is dragged adds
SCRIBBLE_PX = 5.0  # on the screen


@dataclass(slots=True)
class Ground:
    """What tools work on: the editor, the image in 8 bit (H, W) or (H, W, 3), the probabilities (H, W) if there are."""

    editor: MaskEditor
    pixels: NDArray[np.uint8]
    probability: NDArray[np.uint8] | None = None
    scribbles: list[Scribble] = field(default_factory=list)


class Gesture:
    """One press of the button, from image point to image point. ``value`` is painted; 0 takes away."""

    closes = False  # whether the outline is drawn with its closing line

    def __init__(self, ground: Ground, start: Point, *, value: int, zoom: float) -> None:
        self._ground, self._zoom = ground, zoom
        self.value = value
        self.wide = False  # Shift was held at the press
        self.outline: list[Point] = [start]

    @property
    def note(self) -> str:
        """A word beside the cursor."""
        return ""

    def move(self, point: Point) -> None:
        """The cursor has moved; nothing is computed yet."""
        if math.dist(self.outline[-1], point) * self._zoom >= 1:
            self.outline.append(point)

    def flush(self) -> Rect | None:
        """What one frame may cost: bring the mask up to the last move, return what to redraw."""
        return None

    def finish(self) -> Patch | None:
        """The button is up: make the edit."""
        raise NotImplementedError

    def cancel(self) -> Rect | None:
        """Leave the mask as it was; return what to redraw."""
        return None


class LassoGesture(Gesture):
    """Encircle and fill."""

    closes = True

    def finish(self) -> Patch | None:
        """Fill what was encircled."""
        return self._ground.editor.fill_lasso(self.outline, value=self.value)


class BucketGesture(Gesture):
    """Fill the connected part of the mask that was pressed on."""

    def move(self, point: Point) -> None:
        """Only the press counts."""

    def finish(self) -> Patch | None:
        """Fill it."""
        return self._ground.editor.fill_part(self.outline[0], value=self.value)


class WandGesture(Gesture):
    """What looks like the pixel pressed on and hangs together with it; dragging away allows more difference.

    The mask itself is the preview, by a stroke that is taken back and painted anew.
    """

    def __init__(self, ground: Ground, start: Point, *, value: int, zoom: float) -> None:
        super().__init__(ground, start, value=value, zoom=zoom)
        ground.editor.begin_stroke(value=value, name="wand")
        self._tolerance, self._shown = WAND_TOLERANCE, -1.0

    @property
    def note(self) -> str:
        """The tolerance."""
        return f"± {self._tolerance:.0f}"

    def move(self, point: Point) -> None:
        """Farther to the right or down: more; to the left or up: less."""
        dx, dy = point[0] - self.outline[0][0], point[1] - self.outline[0][1]
        self._tolerance = min(max(WAND_TOLERANCE + _WAND_PER_PX * (dx + dy) * self._zoom, 0.0), 255.0)

    def flush(self) -> Rect | None:
        """Show the region at the tolerance of now."""
        if round(self._tolerance) == self._shown:
            return None
        self._shown = round(self._tolerance)
        editor = self._ground.editor
        dirty = editor.rewind_stroke()
        found = editing.alike(self._ground.pixels, self.outline[0], self._shown)
        return dirty if found is None else editing.joined(dirty, editor.stamp(*found))

    def finish(self) -> Patch | None:
        """Keep it."""
        return self._ground.editor.end_stroke()

    def cancel(self) -> Rect | None:
        """Take it back."""
        return self._ground.editor.cancel_stroke()


class BoxGesture(Gesture):
    """The object in a box, by GrabCut."""

    closes = True

    def move(self, point: Point) -> None:
        """The other corner."""
        (x0, y0), (x1, y1) = self.outline[0], point
        self.outline = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]

    def finish(self) -> Patch | None:
        """Paint the object; with background to paint, take it away."""
        if len(self.outline) < 4:
            return None
        (x0, y0), (x1, y1) = self.outline[0], self.outline[2]
        (left, right), (top, bottom) = sorted((x0, x1)), sorted((y0, y1))
        box = math.floor(top), math.floor(left), math.ceil(bottom), math.ceil(right)
        ground = self._ground
        found = editing.boxed(ground.pixels, ground.probability, box)
        if found is None:
            return None
        rect, chosen = found
        after = ground.editor.mask[slices(rect)].copy()
        after[chosen] = self.value
        return ground.editor.put(rect, after, "box")


class ScribbleGesture(Gesture):
    """A stroke that says what is object or background; what hangs together with it is solved again.

    A wide one solves what looks like it around as well.
    """

    @property
    def note(self) -> str:
        """Said of a wide one, which is rarer."""
        return QCoreApplication.translate("Gestures", "and what looks like it") if self.wide else ""

    def finish(self) -> Patch | None:
        """Solve, with what earlier strokes on this image have said."""
        ground = self._ground
        scribble = Scribble(tuple(self.outline), max(SCRIBBLE_PX / self._zoom, 1.0), self.value)
        mask = ground.editor.mask
        made = editing.resolved(ground.pixels, mask, ground.probability, scribble, ground.scribbles, wide=self.wide)
        if made is None:
            return None
        ground.scribbles.append(scribble)
        return ground.editor.put(*made, "scribble")


GESTURES: dict[Tool, type[Gesture]] = {
    Tool.LASSO: LassoGesture,
    Tool.BUCKET: BucketGesture,
    Tool.WAND: WandGesture,
    Tool.BOX: BoxGesture,
    Tool.SCRIBBLE: ScribbleGesture,
}
