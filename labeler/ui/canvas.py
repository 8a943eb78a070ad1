"""The canvas: turns mouse, pen and keys into edits of the ``MaskEditor`` whose mask it shows."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QMargins, QPoint, QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QHideEvent,
    QInputDevice,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPointingDevice,
    QPolygonF,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from labeler.editing import MaskEditor, Rect, alike_in_disc, parts
from labeler.images import Pyramid
from labeler.records import Image, Mask
from labeler.ui.easel import Easel
from labeler.ui.gestures import GESTURES, SCRIBBLE_PX, Gesture, Ground
from labeler.ui.layers import doubt
from labeler.ui.marks import MARK_PAD, NOTE_PX, draw_note, draw_outline, draw_polygon, draw_ring
from labeler.ui.theme import class_colour
from labeler.ui.tools import BrushInput, PolygonInput, Tool

_CLOSING_REACH = 10  # a click this near to the first corner closes the polygon, in widget pixels
_SAME_SPOT = 3  # two clicks this near to each other are on one spot, in widget pixels
_CLOSING_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_POLYGON_KEYS = (*_CLOSING_KEYS, Qt.Key.Key_Backspace, Qt.Key.Key_Escape)
_CONTROL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_MARGINS = QMargins(MARK_PAD, MARK_PAD, MARK_PAD, MARK_PAD)
_LEFT, _RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


class Canvas(Easel):
    """One image and the mask being edited. The editor holds the truth; the canvas draws it and passes strokes on.

    Events only collect points; a timer paints them all once the events are through, and repaints what changed.
    """

    stroke_finished = Signal(object)  # Patch of a stroke or a polygon; it is in the editor already
    polygon_changed = Signal(int)  # corners so far; 0: none in the making

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor: MaskEditor | None = None
        self._ground: Ground | None = None
        self._predicted: Mask | None = None
        self._brush, self._polygon = BrushInput(), PolygonInput()
        self._gesture: Gesture | None = None
        self._part: Rect | None = None  # of the mask, that was gone to last
        self._marked = QRect()  # what the marks at the cursor cover on the screen
        self._control_held = False
        self._stroke_button = Qt.MouseButton.NoButton
        self._stroke_diameter = 12.0
        self._flush_timer = QTimer(self, singleShot=True, interval=0)
        self._flush_timer.timeout.connect(self._flush)
        self.setTabletTracking(True)
        self.setAccessibleName(self.tr("Canvas"))
        self.setAccessibleDescription(self.tr("The image with its mask, to be corrected with brush and polygon"))

    def show_image(
        self,
        image: Image,
        editor: MaskEditor,
        prediction: Mask | None,
        *,
        probability: NDArray[np.uint8] | None = None,
        pyramid: Pyramid | None = None,
    ) -> None:
        """Show an image with the editor's mask; ``pyramid`` is the image's, where it is known."""
        self._leave_image()
        pyramid = Pyramid.of(image) if pyramid is None else pyramid
        self._editor, self._ground = editor, Ground(editor, pyramid.levels[0])
        self.show_layers(pyramid, editor.mask, None)
        self.show_predicted(prediction, probability)
        self._choose_cursor()

    def show_predicted(self, prediction: Mask | None, probability: NDArray[np.uint8] | None = None) -> None:
        """Compare with this prediction from now on; its probabilities guide the tools, and its doubts make a map."""
        self._predicted = prediction
        self.show_prediction(prediction)
        if self._ground is not None:
            self._ground.probability = probability
            self.show_heat(None if probability is None else partial(doubt, probability))

    def clear(self) -> None:
        """Show no image."""
        self._leave_image()
        self._editor = self._ground = self._predicted = None
        super().clear()
        self._choose_cursor()

    def _leave_image(self) -> None:
        self.finish_stroke()
        self._brush.forget()
        self.cancel_polygon()
        self._part = None

    def value_under_cursor(self) -> int:
        """The mask's value at the cursor, 0 outside."""
        column, row = self._hovered
        return int(self._editor.mask[row, column]) if self._editor is not None and row >= 0 else 0

    def show_next_part(self) -> None:
        """Go to the next connected part of the mask in reading order, around its end."""
        found = [] if self._editor is None else parts(self._editor.mask)
        if found:
            later = [part for part in found if self._part is not None and part > self._part]
            self._part = (later or found)[0]
            self.show_rect(self._part)

    def put_tool_down(self, next_tool: Tool) -> None:
        """End what is in hand; a polygon in the making waits for its other half only."""
        self.finish_stroke()
        if not next_tool.is_polygon:
            self.cancel_polygon()

    # Strokes

    @property
    def _in_hand(self) -> bool:
        return self._brush.active or self._gesture is not None

    def finish_stroke(self) -> None:
        """End a stroke in hand, as if the button were let go; others call it before they take the mask."""
        gesture, patch = self._gesture, None
        if self._brush.active:
            self._flush()
            patch = self._brush.finish()
        elif gesture is not None:
            self._flush()
            self._gesture = None
            patch = gesture.finish()
            self.update()
        if patch is not None:
            if gesture is not None:
                self.refresh(patch.rect)
            self.stroke_finished.emit(patch)
        self._stroke_button = Qt.MouseButton.NoButton

    def _begin_stroke(
        self, position: QPointF, *, erases: bool, straight: bool, diameter: float, pressure: float = 1.0
    ) -> None:
        if self._editor is None or self._ground is None:
            return
        self._stroke_diameter = diameter
        value = 0 if erases else self._class_value
        kind = GESTURES.get(self._tool)
        if kind is not None:
            self._gesture = kind(self._ground, self._view.to_image(position), value=value, zoom=self.zoom)
            self._gesture.wide = straight
            self._move_marks(position)
            self._flush_soon()
            return
        restores = self._tool is Tool.RESTORE and self._predicted is not None
        self._brush.begin(
            self._editor,
            value=value,
            diameter=max(diameter * pressure, 1.0),
            straight=straight,
            source=self._predicted if restores else None,
            finder=partial(alike_in_disc, self._ground.pixels) if self._tool is Tool.SMART_BRUSH else None,
        )
        self._extend_stroke(position, pressure)

    def _extend_stroke(self, position: QPointF, pressure: float = 1.0) -> None:
        point = self._view.to_image(position)
        if self._gesture is not None:
            self._gesture.move(point)
        else:
            self._brush.add(point, max(self._stroke_diameter * pressure, 1.0))
        self._move_marks(position)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_timer.isActive():
            self._flush_timer.start()

    def _cancel_stroke(self) -> None:
        gesture, self._gesture = self._gesture, None
        dirty = self._brush.cancel() if gesture is None else gesture.cancel()
        self._stroke_button = Qt.MouseButton.NoButton
        self.update() if gesture is not None else self.refresh(dirty)

    def _flush(self) -> None:
        dirty = self._brush.flush() if self._gesture is None else self._gesture.flush()
        if dirty is not None:
            self.refresh(dirty)

    # Polygon

    def close_polygon(self) -> None:
        """Fill (or clear) the inside of the polygon in the making."""
        points = self._polygon.take()
        self.polygon_changed.emit(0)
        self.update()
        value = self._class_value if self._tool is Tool.POLYGON_ADD else 0
        patch = self._editor.fill_polygon(points, value=value) if self._editor is not None else None
        if patch is not None:
            self.stroke_finished.emit(patch)

    def cancel_polygon(self) -> None:
        """Forget the polygon in the making."""
        if self._polygon.take():
            self.polygon_changed.emit(0)
            self.update()

    def drop_corner(self) -> bool:
        """Take the last corner of the polygon back; False if there is none."""
        if not self._polygon:
            return False
        self._polygon.drop()
        self.polygon_changed.emit(len(self._polygon.points))
        self.update()
        return True

    def _click_corner(self, position: QPointF) -> None:
        point = self._view.to_image(position)
        if self._polygon.closes_at(point, reach=_CLOSING_REACH / self.zoom):
            self.close_polygon()
            return
        self._polygon.add(point)
        self.polygon_changed.emit(len(self._polygon.points))
        self.update()

    # Marks

    def _draw_marks(self, painter: QPainter) -> None:
        at, self._marked = self._cursor_at, self._marked_area()
        colour, white = class_colour(self._class_value), QColor(Qt.GlobalColor.white)
        if self._polygon:
            adds = self._tool is Tool.POLYGON_ADD
            corners = [self._view.to_widget(point) for point in self._polygon.points]
            draw_polygon(painter, corners, at, colour if adds else white, closing=self._closes_at(at))
        elif self._gesture is not None:
            self._draw_gesture(painter, self._gesture)
        elif self._tool.paints and at is not None and not self._pans:
            erases = self._tool is Tool.ERASER or self._control_held or self._stroke_button == _RIGHT
            draw_ring(painter, at, self.diameter * self.zoom, white if erases else colour)

    def _draw_gesture(self, painter: QPainter, gesture: Gesture) -> None:
        colour = class_colour(gesture.value) if gesture.value else QColor(Qt.GlobalColor.white)
        line = [self._view.to_widget(point) for point in gesture.outline]
        thick = max(SCRIBBLE_PX, self.zoom) if self._tool is Tool.SCRIBBLE else 1.6
        draw_outline(painter, line, colour, closes=gesture.closes, thick=thick)
        if gesture.note and self._cursor_at is not None:
            draw_note(painter, gesture.note, self._cursor_at)

    def _closes_at(self, position: QPointF | None) -> bool:
        reach = _CLOSING_REACH / self.zoom
        return position is not None and self._polygon.closes_at(self._view.to_image(position), reach=reach)

    def _move_marks(self, position: QPointF | None) -> None:
        super()._move_marks(position)
        marked = self._marked_area()
        for area in (self._marked, marked):
            if not area.isEmpty():
                self.update(area)
        self._marked = marked

    def _scroll(self, by: QPoint) -> None:
        super()._scroll(by)
        self._marked.translate(by)  # the ring has moved with the image, the cursor has not
        self._move_marks(self._cursor_at)

    def _marked_area(self) -> QRect:
        at = self._cursor_at
        if at is None or not self.has_image:
            return QRect()
        if self._polygon:
            ends = [self._view.to_widget(self._polygon.points[end]) for end in (0, -1)]
            return QPolygonF([at, *ends]).boundingRect().toAlignedRect().marginsAdded(_MARGINS)
        if self._gesture is not None:
            line = [at, *(self._view.to_widget(point) for point in self._gesture.outline)]
            room = QMargins(NOTE_PX, NOTE_PX, NOTE_PX, NOTE_PX) if self._gesture.note else _MARGINS
            return QPolygonF(line).boundingRect().toAlignedRect().marginsAdded(room)
        if not self._tool.paints:
            return QRect()
        reach = self.diameter * self.zoom / 2
        return QRectF(at.x() - reach, at.y() - reach, 2 * reach, 2 * reach).toAlignedRect().marginsAdded(_MARGINS)

    @property
    def _pans(self) -> bool:
        return self._panned_from is not None or self._pans_with_left

    @property
    def _pans_with_left(self) -> bool:
        return self._space_held or self._tool is Tool.PAN

    def _choose_cursor(self) -> None:
        super()._choose_cursor()
        if not self.has_image or self._pans:
            return
        # The ring is the cursor; a cross shows the spot where there is none.
        self.setCursor(Qt.CursorShape.BlankCursor if self._tool.paints else Qt.CursorShape.CrossCursor)

    # Mouse and pen

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._is_pan(event):
            super().mousePressEvent(event)
        elif self._editor is None or self._in_hand:
            return
        elif self._tool.is_polygon:
            if event.button() == _LEFT:
                self._click_corner(event.position())
        elif event.button() in (_LEFT, _RIGHT):
            self._stroke_button = event.button()
            modifiers = event.modifiers()
            erases = self._tool is Tool.ERASER or event.button() == _RIGHT or bool(modifiers & _CONTROL)
            self._begin_stroke(
                event.position(), erases=erases, straight=bool(modifiers & _SHIFT), diameter=self.diameter
            )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._control_held = bool(event.modifiers() & _CONTROL)
        if self._stroke_button == Qt.MouseButton.NoButton or not self._in_hand:
            self._move_marks(event.position())
        elif event.buttons() & self._stroke_button:
            self._extend_stroke(event.position())
        else:  # the release went to a dialog or another window
            self.finish_stroke()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != self._stroke_button:
            super().mouseReleaseEvent(event)
            return
        if self._in_hand:
            self._extend_stroke(event.position())
        self.finish_stroke()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._tool.is_polygon and event.button() == _LEFT and self._ends_polygon(event.position()):
            self.close_polygon()
        else:
            self.mousePressEvent(event)

    def _ends_polygon(self, position: QPointF) -> bool:
        """Whether a double click ends the polygon: on its last corner, which its first click has set.

        Two fast clicks on two corners of a small object are no double click, whatever the system takes them for.
        """
        points = self._polygon.points
        if len(points) < 3:
            return False
        last = self._view.to_widget(points[-1]) - position
        return self._closes_at(position) or math.hypot(last.x(), last.y()) <= _SAME_SPOT

    def tabletEvent(self, event: QTabletEvent) -> None:
        if not self._tool.paints or self._pans_with_left or self._editor is None:
            event.ignore()  # comes back as a mouse event
            return
        presses = event.pointingDevice().hasCapability(QInputDevice.Capability.Pressure)
        pressure = event.pressure() if presses else 1.0
        kind = event.type()
        if kind == QEvent.Type.TabletPress:
            tail = event.pointerType() == QPointingDevice.PointerType.Eraser
            erases = tail or self._tool is Tool.ERASER or bool(event.modifiers() & _CONTROL)
            diameter = self.eraser_diameter if tail else self.diameter
            straight = bool(event.modifiers() & _SHIFT)
            self._begin_stroke(event.position(), erases=erases, straight=straight, diameter=diameter, pressure=pressure)
        elif self._brush.active:
            # The pressure is 0 at the release: the stroke keeps the width it had.
            if kind == QEvent.Type.TabletMove:
                self._extend_stroke(event.position(), pressure)
            else:
                self.finish_stroke()
        else:
            self._hover(event.position())
            self._move_marks(event.position())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & _SHIFT and self._tool.paints:
            delta = event.angleDelta()  # some systems turn Shift+wheel into sideways scrolling
            self.step_diameter((delta.y() or delta.x()) / 120)
            event.accept()
        else:
            super().wheelEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._move_marks(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if not self._in_hand:
            self._move_marks(None)

    def hideEvent(self, event: QHideEvent) -> None:
        self.finish_stroke()
        super().hideEvent(event)

    # Keys

    def event(self, event: QEvent) -> bool:
        # The window's shortcuts would swallow the keys of a polygon in the making.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._takes(event):
            event.accept()
            return True
        return super().event(event)

    def _takes(self, event: QKeyEvent) -> bool:
        if self._in_hand:
            return event.key() == Qt.Key.Key_Escape
        if not self._polygon:
            return event.key() == Qt.Key.Key_Tab and not event.modifiers() and self._prediction is not None
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        return (plain and event.key() in _POLYGON_KEYS) or event.matches(QKeySequence.StandardKey.Undo)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Control:
            self._hold_control(held=True)
        elif not self._takes(event) or event.key() == Qt.Key.Key_Tab:
            super().keyPressEvent(event)
        elif self._in_hand:
            self._cancel_stroke()
        elif event.key() in _CLOSING_KEYS:
            self.close_polygon()
        elif event.key() == Qt.Key.Key_Escape:
            self.cancel_polygon()
        else:
            self.drop_corner()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Control:
            self._hold_control(held=False)
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._hold_control(held=False)
        super().focusOutEvent(event)

    def _hold_control(self, *, held: bool) -> None:
        self._control_held = held
        self._move_marks(self._cursor_at)
