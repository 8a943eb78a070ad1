"""A widget that shows an image and a mask over it, with zoom, pan, overlay styles and comparison. It edits nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QInputDevice,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from labeler.editing import Rect
from labeler.images import Pyramid
from labeler.records import Image, Mask
from labeler.ui.layers import CONTOUR_PAD, HeatLayer, ImageLayer, MaskLayer, Overlay, Tone
from labeler.ui.marks import draw_badge, draw_empty
from labeler.ui.theme import follow, theme
from labeler.ui.view import View

_ZOOM_NOTCH = 1.2
_MOST_PARTS = 12  # of a region, that are painted one by one


class Viewer(QWidget):
    """Draws only what an event asks for; the layers look into the arrays they are given."""

    zoom_changed = Signal(float)
    hovered = Signal(int, int)  # image column and row under the cursor; -1, -1 outside

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.compare_key = Qt.Key.Key_Tab  # held down, it shows the prediction
        self.keep_view = False  # zoom and position stay for the next image of the same size
        self._image: ImageLayer | None = None
        self._mask: MaskLayer | None = None
        self._prediction: MaskLayer | None = None
        self._heat: HeatLayer | None = None
        self._heat_shown = False
        self._empty_text = ""
        self._view, self._is_fitted = View(), True
        self._tone = Tone()
        self._overlay: Overlay = "fill"
        self._opacity = 0.4
        self._comparing = self._peeking = self._space_held = False
        self._panned_from: QPointF | None = None
        self._hovered = (-1, -1)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        follow(self, lambda viewer: viewer.update())

    # What is shown

    def show_layers(self, image: Pyramid | Image, mask: Mask, prediction: Mask | None) -> None:
        """Show an image, a mask (H, W) over it, and the prediction (H, W) to compare with."""
        pyramid = image if isinstance(image, Pyramid) else Pyramid.of(image)
        assert mask.shape == pyramid.image.shape[:2], "mask and image differ in size"
        size_before = self._image.size if self._image else None
        self._image, self._mask, self._heat = ImageLayer(pyramid), MaskLayer(mask), None
        self.show_prediction(prediction)
        if not (self.keep_view and size_before == self._image.size):
            self.fit()
        self.update()

    def show_prediction(self, prediction: Mask | None) -> None:
        """Compare with this prediction from now on."""
        self._prediction = MaskLayer(prediction) if prediction is not None else None
        self.update()

    def show_heat(self, heat: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]] | None) -> None:
        """Lay a map of doubt, (H, W) uint8, over the image while ``heat_shown``; None takes it away.

        What makes the map is called when the map is first seen.
        """
        self._heat = HeatLayer(heat) if heat is not None else None
        self.update()

    def clear(self) -> None:
        """Show no image."""
        self._image = self._mask = self._prediction = self._heat = None
        self._panned_from = None
        self._hover(None)
        self.update()

    def refresh(self, rect: Rect | None = None) -> None:
        """Repaint after the mask changed in ``rect``; None repaints all."""
        if rect is None:
            self.update()
        else:
            # Smoothing below 100 % mixes neighbours: one image pixel is less than the constant there.
            self.update(self._view.widget_rect(rect, CONTOUR_PAD + 2))

    def set_empty_text(self, text: str) -> None:
        """What is said while there is no image."""
        if text != self._empty_text:  # said with every status: a repaint each time would stall the strokes
            self._empty_text = text
            self.update()

    @property
    def empty_text(self) -> str:
        """What is said while there is no image."""
        return self._empty_text

    @property
    def has_image(self) -> bool:
        """Whether an image is shown."""
        return self._image is not None

    @property
    def tone(self) -> Tone:
        """Brightness, contrast and gamma of the display; the image's values stay as they are."""
        return self._tone

    @tone.setter
    def tone(self, tone: Tone) -> None:
        self._tone = tone
        self.update()

    @property
    def overlay(self) -> Overlay:
        """How the mask is drawn."""
        return self._overlay

    @overlay.setter
    def overlay(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self.update()

    @property
    def opacity(self) -> float:
        """Opacity of the filled mask, 0..1."""
        return self._opacity

    @opacity.setter
    def opacity(self, opacity: float) -> None:
        self._opacity = min(max(opacity, 0.0), 1.0)
        self.update()

    @property
    def comparing(self) -> bool:
        """Whether the prediction is shown instead of the mask (nothing happens where there is none)."""
        return self._comparing

    @comparing.setter
    def comparing(self, comparing: bool) -> None:
        self._comparing = comparing
        self.update()

    @property
    def heat_shown(self) -> bool:
        """Whether the map of doubt is laid over the image, where there is one."""
        return self._heat_shown

    @heat_shown.setter
    def heat_shown(self, shown: bool) -> None:
        self._heat_shown = shown
        self.update()

    @property
    def peeking(self) -> bool:
        """Whether the bare image is shown, for as long as a key is held."""
        return self._peeking

    @peeking.setter
    def peeking(self, peeking: bool) -> None:
        self._peeking = peeking
        self.update()

    # Where it is shown

    @property
    def view(self) -> View:
        """Zoom and position."""
        return self._view

    @property
    def zoom(self) -> float:
        """Widget pixels per image pixel."""
        return self._view.zoom

    @zoom.setter
    def zoom(self, zoom: float) -> None:
        self.zoom_by(zoom / self._view.zoom)

    def fit(self) -> None:
        """Show the whole image, now and after the next changes of the window's size."""
        if self._image is not None:
            self._move_to(View.fitted(self._image.size, self.size()), fitted=True)

    def actual_size(self) -> None:
        """One widget pixel per image pixel, about the centre."""
        self.zoom = 1.0

    def zoom_in(self) -> None:
        """One notch nearer, about the centre."""
        self.zoom_by(_ZOOM_NOTCH)

    def zoom_out(self) -> None:
        """One notch away, about the centre."""
        self.zoom_by(1 / _ZOOM_NOTCH)

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom about a widget position (default: the centre)."""
        centre = QPointF(self.width() / 2, self.height() / 2)
        self._move_to(self._view.zoomed(factor, about if about is not None else centre))

    def show_rect(self, rect: Rect) -> None:
        """Bring a rectangle of the image to the middle, near enough to be worked on, and farther where it is large."""
        if self._image is None:
            return
        y0, x0, y1, x1 = rect
        room = min(self.width() / (x1 - x0), self.height() / (y1 - y0))
        # Between a fifth and nine tenths of the widget the zoom is left alone.
        zoom = min(max(self._view.zoom, min(0.2 * room, 16.0)), 0.9 * room)
        view = self._view.zoomed(zoom / self._view.zoom, QPointF(0, 0))
        middle = view.to_widget(((x0 + x1) / 2, (y0 + y1) / 2))
        self._move_to(view.moved(QPointF(self.width() / 2, self.height() / 2) - middle))

    def pan_by(self, by: QPointF) -> None:
        """Shift the image by widget pixels."""
        self._move_to(self._view.moved(by))

    def _move_to(self, view: View, *, fitted: bool = False) -> None:
        if self._image is None:
            return
        before, self._is_fitted = self._view, fitted
        self._view = view.kept_in_sight(self._image.size, self.size())
        if self._view.zoom != before.zoom:
            self.zoom_changed.emit(self._view.zoom)
        by = self._view.shift_from(before)
        if by is not None and self._may_scroll():
            self._scroll(by)
        else:
            self.update()

    def _may_scroll(self) -> bool:
        """Whether all that is drawn moves with the image, by whole pixels of the screen."""
        lies_over = any(isinstance(child, QWidget) and child.isVisible() for child in self.children())
        return not (lies_over or self._comparing) and self.devicePixelRatioF().is_integer()

    def _scroll(self, by: QPoint) -> None:
        """Move what is drawn, and paint only what comes into sight: a pan costs the same at any size and zoom."""
        if not by.isNull():
            self.scroll(by.x(), by.y(), self.rect())

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(theme.colours.canvas))
        if self._image is None:
            draw_empty(painter, self._empty_text, self.rect())
            return
        # By part: two edges after a pan, or the old and the new place of a ring, with nothing to do between them.
        parts = list(event.region())  # type: ignore[call-overload]  # the stubs do not know its iterator
        for shown in parts if len(parts) <= _MOST_PARTS else [event.rect()]:
            painter.setClipRect(shown)
            self._draw_layers(painter, shown)
        painter.setClipping(False)
        painter.setPen(QPen(QColor(theme.colours.border), 1))
        frame = self._view.widget_rect((0, 0, self._image.size.height(), self._image.size.width()))
        painter.drawRect(frame.adjusted(-1, -1, 0, 0))
        if self._comparing and self._prediction is not None:
            draw_badge(painter, self.tr("Prediction"), self.rect())
        else:
            self._draw_marks(painter)

    def _draw_layers(self, painter: QPainter, shown: QRect) -> None:
        assert self._image is not None
        self._image.draw(painter, self._view, shown, tone=self._tone)
        if self._heat is not None and self._heat_shown and not self._peeking:
            self._heat.draw(painter, self._view, shown)
        mask = self._prediction if self._comparing and self._prediction is not None else self._mask
        if mask is not None and not self._peeking:
            mask.draw(painter, self._view, shown, style=self._overlay, opacity=self._opacity)

    def _draw_marks(self, painter: QPainter) -> None:
        """What lies over the mask; for those who edit."""

    # Looking around

    @property
    def _pans_with_left(self) -> bool:
        return self._space_held

    def _hover(self, position: QPointF | None) -> None:
        pixel = (-1, -1)
        if position is not None and self._image is not None:
            x, y = self._view.to_image(position)
            if 0 <= x < self._image.size.width() and 0 <= y < self._image.size.height():
                pixel = int(x), int(y)
        if pixel != self._hovered:
            self._hovered = pixel
            self.hovered.emit(*pixel)

    def _choose_cursor(self) -> None:
        if self._panned_from is not None:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self._pans_with_left and self.has_image:
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            self.unsetCursor()

    def _is_pan(self, event: QMouseEvent) -> bool:
        middle = event.button() == Qt.MouseButton.MiddleButton
        return middle or (self._pans_with_left and event.button() == Qt.MouseButton.LeftButton)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._is_pan(event):
            self._panned_from = event.position()
            self._choose_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(event.position())
        if self._panned_from is not None:
            self.pan_by(event.position() - self._panned_from)
            self._panned_from = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._panned_from = None
        self._choose_cursor()

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        fingers = event.device().type() == QInputDevice.DeviceType.TouchPad
        if fingers and not event.modifiers() & Qt.KeyboardModifier.ControlModifier and not event.pixelDelta().isNull():
            self.pan_by(QPointF(event.pixelDelta()))
        else:
            self.zoom_by(_ZOOM_NOTCH ** (event.angleDelta().y() / 120), event.position())
        event.accept()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_by(1 + max(event.value(), -0.9), event.position())
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._hold(event, held=True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._hold(event, held=False)

    def _hold(self, event: QKeyEvent, *, held: bool) -> None:
        if event.key() == Qt.Key.Key_Space and not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier:
            self._space_held = held if not event.isAutoRepeat() else self._space_held
            self._choose_cursor()
        elif event.key() == self.compare_key:
            self.comparing = held if not event.isAutoRepeat() else self._comparing
        else:
            event.ignore()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab compares while there is a prediction; Shift+Tab always leaves the canvas."""
        taken = forward and self._prediction is not None and self.compare_key == Qt.Key.Key_Tab
        return not taken and super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # The release of a held key goes elsewhere now.
        self._space_held = self._comparing = False
        self._choose_cursor()
        super().focusOutEvent(event)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._is_fitted:
            self.fit()
        else:
            self._move_to(self._view)

    def sizeHint(self) -> QSize:
        return QSize(720, 540)
