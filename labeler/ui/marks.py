"""What the canvas draws over image and mask: the brush ring, the polygon in the making, a badge, the empty text."""

from __future__ import annotations

import functools
import math

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from labeler.records import ImageState
from labeler.ui.theme import XL, L, S, state_colour, theme

CORNER = 4.0  # radius of a polygon's corner, in widget pixels
MARK_PAD = 10  # widget pixels that a ring or a corner reaches past its geometry
_KEPT_RING = 800  # widget pixels: a larger ring is not worth its megabytes
NOTE_PX = 240  # room that a note beside the cursor takes at most
_DARK = QColor(0, 0, 0, 170)


def draw_ring(painter: QPainter, centre: QPointF, diameter: float, colour: QColor) -> None:
    """The brush at its true size (``diameter`` in widget pixels), seen on light and on dark ground.

    It is drawn once and kept: stroking a circle took more of a frame than image and mask together.
    """
    if diameter > _KEPT_RING:
        _stroke_ring(painter, centre, diameter, colour)
        return
    ring = _ring(diameter, colour.rgba(), painter.device().devicePixelRatioF())
    half = ring.deviceIndependentSize().width() / 2
    painter.drawImage(QPointF(round(centre.x() - half), round(centre.y() - half)), ring)


@functools.lru_cache(maxsize=4)
def _ring(diameter: float, colour: int, ratio: float) -> QImage:
    """A ring in the middle of a picture."""
    side = 2 * math.ceil(diameter / 2 + MARK_PAD)
    ring = QImage(round(side * ratio), round(side * ratio), QImage.Format.Format_ARGB32_Premultiplied)
    ring.setDevicePixelRatio(ratio)
    ring.fill(Qt.GlobalColor.transparent)
    painter = QPainter(ring)
    _stroke_ring(painter, QPointF(side / 2, side / 2), diameter, QColor.fromRgba(colour))
    painter.end()
    return ring


def _stroke_ring(painter: QPainter, centre: QPointF, diameter: float, colour: QColor) -> None:
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(_DARK, 3.0), QPen(colour, 1.4)):
        painter.setPen(pen)
        if diameter >= 5:
            painter.drawEllipse(centre, diameter / 2, diameter / 2)
        # A tiny ring is hard to find and a huge one has no visible middle: a cross marks the spot in both.
        if diameter < 12 or diameter > 80:
            start = diameter / 2 + 3 if diameter < 12 else 0.0
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                painter.drawLine(centre + QPointF(dx, dy) * start, centre + QPointF(dx, dy) * (start + 4))
    painter.restore()


def draw_polygon(
    painter: QPainter, corners: list[QPointF], cursor: QPointF | None, colour: QColor, *, closing: bool
) -> None:
    """The rubber band through the corners to the cursor; the first corner is the one that closes it."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    line = QPolygonF([*corners, corners[0] if closing else cursor] if cursor is not None else corners)
    for pen in (QPen(_DARK, 3.5), QPen(colour, 1.6)):
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPolyline(line)
    if len(corners) >= 2 and cursor is not None and not closing:
        painter.setPen(QPen(colour, 1.2, Qt.PenStyle.DotLine))
        painter.drawLine(cursor, corners[0])
    painter.setPen(QPen(_DARK, 1.5))
    for corner in corners[1:]:
        painter.setBrush(colour)
        painter.drawEllipse(corner, CORNER, CORNER)
    painter.setBrush(colour if closing else QColor(Qt.GlobalColor.white))
    painter.setPen(QPen(_DARK, 1.5))
    painter.drawEllipse(corners[0], CORNER + (3 if closing else 1.5), CORNER + (3 if closing else 1.5))
    painter.restore()


def draw_outline(painter: QPainter, line: list[QPointF], colour: QColor, *, closes: bool, thick: float = 1.6) -> None:
    """The way of the cursor since the button went down; with ``closes`` a dotted line leads back to its start."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for pen in (QPen(_DARK, thick + 2), QPen(colour, thick)):
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(line)) if len(line) > 1 else painter.drawPoint(line[0])
    if closes and len(line) > 2:
        painter.setPen(QPen(colour, 1.2, Qt.PenStyle.DotLine))
        painter.drawLine(line[-1], line[0])
    painter.restore()


def draw_note(painter: QPainter, text: str, cursor: QPointF) -> None:
    """A word beside the cursor."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(theme.font("caption"))
    size = painter.fontMetrics().size(0, text)
    plate = QRectF(cursor.x() + 14, cursor.y() + 10, size.width() + S, size.height() + 4)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 190))
    painter.drawRoundedRect(plate, 4, 4)
    painter.setPen(Qt.GlobalColor.white)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def draw_badge(painter: QPainter, text: str, area: QRect) -> None:
    """A small plate at the top that names what is shown instead of the mask."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(theme.font("body", bold=True))
    size = painter.fontMetrics().size(0, text)
    plate = QRectF(0, 0, size.width() + 2 * theme.px(L), size.height() + 2 * theme.px(S) - 2)
    plate.moveCenter(QPointF(area.center()))
    plate.moveTop(area.top() + theme.px(L))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 190))
    painter.drawRoundedRect(plate, plate.height() / 2, plate.height() / 2)
    painter.setPen(Qt.GlobalColor.white)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def draw_state(painter: QPainter, box: QRectF, state: ImageState) -> None:
    """The mark of a state: a shape of its own beside the colour, for eyes that tell few colours apart."""
    colour, line = state_colour(state), max(1.5, box.width() / 6)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, line))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    inner = box.adjusted(line / 2, line / 2, -line / 2, -line / 2)
    if state is ImageState.ACCEPTED:
        painter.setBrush(colour)
        painter.drawEllipse(inner)
    elif state is ImageState.LABELLED:
        painter.setBrush(colour)
        painter.drawRect(inner.adjusted(line / 3, line / 3, -line / 3, -line / 3))
    elif state is ImageState.QUEUED:
        painter.setBrush(colour)
        top = QPointF(inner.center().x(), inner.top())
        painter.drawPolygon(QPolygonF([inner.bottomLeft(), inner.bottomRight(), top]))
    elif state in (ImageState.EXCLUDED, ImageState.UNREADABLE):
        painter.drawLine(inner.topLeft(), inner.bottomRight())
        painter.drawLine(inner.topRight(), inner.bottomLeft())
    else:
        painter.drawEllipse(inner)
    painter.restore()


def draw_empty(painter: QPainter, text: str, area: QRect) -> None:
    """What to do when there is no image."""
    width = min(theme.px(440), area.width() - 2 * theme.px(XL))
    box = QRect(0, 0, max(width, 1), area.height())
    box.moveCenter(area.center())
    painter.setFont(theme.font("title"))
    painter.setPen(QColor(theme.colours.muted))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)
