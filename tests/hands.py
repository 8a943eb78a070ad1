"""Hands on a canvas: mouse, pen and wheel as the tests send them, and what is then seen on the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import (
    QImage,
    QInputDevice,
    QMouseEvent,
    QPointingDevice,
    QPointingDeviceUniqueId,
    QTabletEvent,
    QWheelEvent,
)

from labeler.ui.canvas import Canvas

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
PLAIN, SHIFT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)
SIDE = 100


def at(x: float, y: float) -> QPoint:
    return QPoint(round(12 + 4 * x), round(12 + 4 * y))


def mouse(
    canvas: Canvas,
    kind: QEvent.Type,
    where: QPoint,
    *,
    button: Qt.MouseButton = LEFT,
    held: Qt.MouseButton = LEFT,
    modifiers: Qt.KeyboardModifier = PLAIN,
) -> None:
    where_f = QPointF(where)
    QCoreApplication.sendEvent(canvas, QMouseEvent(kind, where_f, canvas.mapToGlobal(where_f), button, held, modifiers))


def hover(canvas: Canvas, where: QPoint) -> None:
    """Move over the canvas with no button held; wherever the cursor of the test before was left."""
    none = Qt.MouseButton.NoButton
    mouse(canvas, QEvent.Type.MouseMove, where, button=none, held=none)


def drag(
    canvas: Canvas, *points: tuple[float, float], button: Qt.MouseButton = LEFT, modifiers: Qt.KeyboardModifier = PLAIN
) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(*points[0]), button=button, held=button, modifiers=modifiers)
    for point in points[1:]:
        mouse(
            canvas,
            QEvent.Type.MouseMove,
            at(*point),
            button=Qt.MouseButton.NoButton,
            held=button,
            modifiers=modifiers,
        )
    mouse(
        canvas,
        QEvent.Type.MouseButtonRelease,
        at(*points[-1]),
        button=button,
        held=Qt.MouseButton.NoButton,
        modifiers=modifiers,
    )


def click(canvas: Canvas, x: float, y: float, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
    drag(canvas, (x, y), modifiers=modifiers)


def pixels(image: QImage) -> NDArray[np.uint8]:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def drawn(canvas: Canvas) -> NDArray[np.uint8]:
    """The whole widget painted afresh."""
    return pixels(canvas.grab().toImage())


def on_screen(canvas: Canvas) -> NDArray[np.uint8]:
    """What the partial repaints have left on the screen."""
    QCoreApplication.processEvents()
    return pixels(canvas.screen().grabWindow(canvas.winId()).toImage())


def seen_at(canvas: Canvas, x: float, y: float) -> tuple[int, ...]:
    where = at(x, y)
    return tuple(drawn(canvas)[where.y(), where.x()].tolist())


def is_tinted(colour: tuple[int, ...]) -> bool:
    return max(colour) - min(colour) > 20


def pen(canvas: Canvas, kind: QEvent.Type, where: QPoint, pressure: float, *, tail: bool = False) -> None:
    device = QPointingDevice(
        "pen",
        1,
        QInputDevice.DeviceType.Stylus,
        QPointingDevice.PointerType.Eraser if tail else QPointingDevice.PointerType.Pen,
        QInputDevice.Capability.Position | QInputDevice.Capability.Pressure,
        1,
        1,
        "",
        QPointingDeviceUniqueId(),
    )
    where_f = QPointF(where)
    event = QTabletEvent(kind, device, where_f, canvas.mapToGlobal(where_f), pressure, 0, 0, 0, 0, 0, PLAIN, LEFT, LEFT)
    QCoreApplication.sendEvent(canvas, event)
    assert event.isAccepted()


def corners(canvas: Canvas, *points: tuple[float, float]) -> None:
    for point in points:
        click(canvas, *point)


def wheel(canvas: Canvas, where: QPoint, delta: int, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
    where_f = QPointF(where)
    event = QWheelEvent(
        where_f,
        canvas.mapToGlobal(where_f),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QCoreApplication.sendEvent(canvas, event)
