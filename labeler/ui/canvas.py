"""The canvas: turns mouse, pen and keys into edits of the ``MaskEditor`` whose mask it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QMargins, QPointF, QRect, QRectF, Qt, QTimer, Signal
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

from labeler import images
from labeler.editing import MaskEditor
from labeler.records import Image, Mask
from labeler.ui.marks import MARK_PAD, draw_polygon, draw_ring
from labeler.ui.theme import class_colour
from labeler.ui.tools import BrushInput, PolygonInput, Tool, limited_diameter, stepped_diameter
from labeler.ui.viewer import Viewer

_CLOSING_REACH = 10  # a click this near to the first corner closes the polygon, in widget pixels
_CLOSING_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_POLYGON_KEYS = (*_CLOSING_KEYS, Qt.Key.Key_Backspace, Qt.Key.Key_Escape)
_CONTROL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_MARGINS = QMargins(MARK_PAD, MARK_PAD, MARK_PAD, MARK_PAD)
_LEFT, _RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


class Canvas(Viewer):
    """One image and the mask being edited. The editor holds the truth; the canvas draws it and passes strokes on.

    Events only collect points; a timer paints them all once the events are through, and repaints what changed.
    """

    stroke_finished = Signal(object)  # Patch of a stroke or a polygon; it is in the editor already
    diameter_changed = Signal(float)  # of the tool in use
    tool_changed = Signal(object)  # Tool
    polygon_changed = Signal(int)  # corners so far; 0: none in the making

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor: MaskEditor | None = None
        self._tool, self._class_value = Tool.BRUSH, 1
        self._diameters = {Tool.BRUSH: 12.0, Tool.ERASER: 12.0}
        self._brush, self._polygon = BrushInput(), PolygonInput()
        self._cursor_at: QPointF | None = None
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
        self, image: Image, editor: MaskEditor, prediction: Mask | None, *, rgb: NDArray[np.uint8] | None = None
    ) -> None:
        """Show an image with the editor's mask; ``rgb`` is its ``images.load_rgb8``, where it is known."""
        self._leave_image()
        self._editor = editor
        self.show_layers(images.load_rgb8(image) if rgb is None else rgb, editor.mask, prediction)
        self._choose_cursor()

    def clear(self) -> None:
        """Show no image."""
        self._leave_image()
        self._editor = None
        super().clear()
        self._choose_cursor()

    def _leave_image(self) -> None:
        self.finish_stroke()
        self._brush.forget()
        self.cancel_polygon()

    # Tools

    @property
    def tool(self) -> Tool:
        """What the left button does."""
        return self._tool

    @tool.setter
    def tool(self, tool: Tool) -> None:
        self.finish_stroke()
        self._tool = Tool(tool)
        if not self._tool.is_polygon:
            self.cancel_polygon()
        self._choose_cursor()
        self.update()
        self.tool_changed.emit(self._tool)
        self.diameter_changed.emit(self.diameter)

    @property
    def class_value(self) -> int:
        """Pixel value that brush and polygon paint."""
        return self._class_value

    @class_value.setter
    def class_value(self, value: int) -> None:
        self._class_value = value
        self.update()

    @property
    def brush_diameter(self) -> float:
        """In image pixels, 1..1024."""
        return self._diameters[Tool.BRUSH]

    @brush_diameter.setter
    def brush_diameter(self, diameter: float) -> None:
        self._set_diameter(Tool.BRUSH, diameter)

    @property
    def eraser_diameter(self) -> float:
        """In image pixels, 1..1024."""
        return self._diameters[Tool.ERASER]

    @eraser_diameter.setter
    def eraser_diameter(self, diameter: float) -> None:
        self._set_diameter(Tool.ERASER, diameter)

    @property
    def diameter(self) -> float:
        """Diameter of the tool in use: the eraser's own, the brush's for all others."""
        return self._diameters[self._sized_tool]

    def step_diameter(self, steps: float) -> None:
        """Make the tool in use larger (or smaller) by notches."""
        self._set_diameter(self._sized_tool, stepped_diameter(self.diameter, steps))

    @property
    def _sized_tool(self) -> Tool:
        return Tool.ERASER if self._tool is Tool.ERASER else Tool.BRUSH

    def _set_diameter(self, tool: Tool, diameter: float) -> None:
        self._diameters[tool] = limited_diameter(diameter)
        self._move_marks(self._cursor_at)
        if tool is self._sized_tool:
            self.diameter_changed.emit(self._diameters[tool])

    # Strokes

    def finish_stroke(self) -> None:
        """End a stroke in hand, as if the button were let go; others call it before they take the mask."""
        if self._brush.active:
            self._flush()
            patch = self._brush.finish()
            if patch is not None:
                self.stroke_finished.emit(patch)
        self._stroke_button = Qt.MouseButton.NoButton

    def _begin_stroke(
        self, position: QPointF, *, erases: bool, straight: bool, diameter: float, pressure: float = 1.0
    ) -> None:
        if self._editor is None:
            return
        self._stroke_diameter = diameter
        value = 0 if erases else self._class_value
        self._brush.begin(self._editor, value=value, diameter=max(diameter * pressure, 1.0), straight=straight)
        self._extend_stroke(position, pressure)

    def _extend_stroke(self, position: QPointF, pressure: float = 1.0) -> None:
        self._brush.add(self._view.to_image(position), max(self._stroke_diameter * pressure, 1.0))
        self._move_marks(position)
        if not self._flush_timer.isActive():
            self._flush_timer.start()

    def _cancel_stroke(self) -> None:
        self.refresh(self._brush.cancel())

    def _flush(self) -> None:
        dirty = self._brush.flush()
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
        elif self._tool.paints and at is not None and not self._pans:
            erases = self._tool is Tool.ERASER or self._control_held or self._stroke_button == _RIGHT
            draw_ring(painter, at, self.diameter * self.zoom, white if erases else colour)

    def _closes_at(self, position: QPointF | None) -> bool:
        reach = _CLOSING_REACH / self.zoom
        return position is not None and self._polygon.closes_at(self._view.to_image(position), reach=reach)

    def _move_marks(self, position: QPointF | None) -> None:
        """Repaint the marks that go with the cursor, where they were and where they are."""
        self._cursor_at = position
        marked = self._marked_area()
        for area in (self._marked, marked):
            if not area.isEmpty():
                self.update(area)
        self._marked = marked

    def _marked_area(self) -> QRect:
        at = self._cursor_at
        if at is None or not self.has_image:
            return QRect()
        if self._polygon:
            ends = [self._view.to_widget(self._polygon.points[end]) for end in (0, -1)]
            return QPolygonF([at, *ends]).boundingRect().toAlignedRect().marginsAdded(_MARGINS)
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
        elif self._editor is None or self._brush.active:
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
        if self._stroke_button == Qt.MouseButton.NoButton or not self._brush.active:
            self._move_marks(event.position())
        elif event.buttons() & self._stroke_button:
            self._extend_stroke(event.position())
        else:  # the release went to a dialog or another window
            self.finish_stroke()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != self._stroke_button:
            super().mouseReleaseEvent(event)
            return
        if self._brush.active:
            self._extend_stroke(event.position())
        self.finish_stroke()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._tool.is_polygon and event.button() == _LEFT and len(self._polygon.points) >= 3:
            self.close_polygon()
        else:
            self.mousePressEvent(event)

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
        if not self._brush.active:
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
        if self._brush.active:
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
        elif self._brush.active:
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
