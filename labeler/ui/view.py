"""Where the image lies in the canvas: zoom, position, and the way from one's coordinates to the other's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize

from labeler.editing import Rect, overlap
from labeler.spans import Point

MIN_ZOOM, MAX_ZOOM = 0.05, 64.0
_KEPT_IN_SIGHT = 48  # widget pixels of the image that no pan pushes out


@dataclass(frozen=True, slots=True)
class View:
    """Image pixel (0, 0) is drawn at (x, y) of the widget, ``zoom`` widget pixels wide."""

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0

    @classmethod
    def fitted(cls, image: QSize, widget: QSize) -> View:
        """The whole image, centred, with a small margin; not enlarged past 1600 %."""
        margin = 12 if min(widget.width(), widget.height()) > 120 else 0
        room = max(widget.width() - 2 * margin, 1), max(widget.height() - 2 * margin, 1)
        zoom = min(room[0] / image.width(), room[1] / image.height(), 16.0)
        return cls.centred(zoom, image, widget)

    @classmethod
    def centred(cls, zoom: float, image: QSize, widget: QSize) -> View:
        """The image's centre in the widget's centre."""
        return cls(zoom, (widget.width() - zoom * image.width()) / 2, (widget.height() - zoom * image.height()) / 2)

    @property
    def origin(self) -> tuple[float, float]:
        """Where the image is drawn: on a whole widget pixel, so that nothing is blurred by half of one, and a pan moves
        what is drawn already.

        The exact position is kept apart, or zooming in and out about a point would drift.
        """
        return float(round(self.x)), float(round(self.y))

    def to_image(self, position: QPointF) -> Point:
        """Image coordinates (x, y) of a widget position."""
        x, y = self.origin
        return (position.x() - x) / self.zoom, (position.y() - y) / self.zoom

    def to_widget(self, point: Point) -> QPointF:
        """Widget position of image coordinates (x, y)."""
        x, y = self.origin
        return QPointF(x + point[0] * self.zoom, y + point[1] * self.zoom)

    def zoomed(self, factor: float, about: QPointF) -> View:
        """Zoom by a factor, within the limits; the image point under ``about`` stays there."""
        # A huge image may be fitted below the limit; from there the way is only up.
        zoom = min(max(self.zoom * factor, min(MIN_ZOOM, self.zoom)), MAX_ZOOM)
        scale = zoom / self.zoom
        return View(zoom, about.x() - (about.x() - self.x) * scale, about.y() - (about.y() - self.y) * scale)

    def moved(self, by: QPointF) -> View:
        """Shift by widget pixels."""
        return replace(self, x=self.x + by.x(), y=self.y + by.y())

    def shift_from(self, other: View) -> QPoint | None:
        """By how many widget pixels what ``other`` shows has moved; None where the zoom differs."""
        if self.zoom != other.zoom:
            return None
        (x, y), (x0, y0) = self.origin, other.origin
        return QPoint(round(x - x0), round(y - y0))

    def kept_in_sight(self, image: QSize, widget: QSize) -> View:
        """Shifted back where the image would leave the widget."""
        return replace(
            self,
            x=_kept(self.x, image.width() * self.zoom, widget.width()),
            y=_kept(self.y, image.height() * self.zoom, widget.height()),
        )

    def widget_rect(self, rect: Rect, pad: int = 0) -> QRect:
        """The widget pixels that show an image rectangle, and ``pad`` more on each side."""
        y0, x0, y1, x1 = rect
        shown = QRectF(self.to_widget((x0, y0)), self.to_widget((x1, y1))).toAlignedRect()
        return shown.adjusted(-pad, -pad, pad, pad)

    def image_rect(self, shown: QRect, image: QSize) -> Rect | None:
        """The image pixels that are seen through a rectangle of the widget."""
        x0, y0 = self.to_image(QPointF(shown.topLeft()))
        x1, y1 = self.to_image(QPointF(shown.x() + shown.width(), shown.y() + shown.height()))
        seen = math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1)
        return overlap(seen, (0, 0, image.height(), image.width()))


def _kept(position: float, length: float, room: float) -> float:
    edge = min(_KEPT_IN_SIGHT, length, room)
    return min(max(position, edge - length), room - edge)
