"""A hand that draws on a canvas, and how long it waits for what it sees."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPaintEvent

from labeler.ui.canvas import Canvas

POINTS = 24  # of one stroke
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class Wait(float):
    """Milliseconds by the clock on the wall, and those that the main thread has computed meanwhile."""

    own: float

    @classmethod
    def since(cls, clock: tuple[float, float], until: float | None = None) -> Wait:
        """Since ``now()`` was ``clock``, to now or an earlier time on the wall."""
        wait = cls(1000 * ((time.perf_counter() if until is None else until) - clock[0]))
        wait.own = 1000 * (time.thread_time() - clock[1])
        return wait


def now() -> tuple[float, float]:
    """Both clocks."""
    return time.perf_counter(), time.thread_time()


class TimedCanvas(Canvas):
    """Notes when it was last painted."""

    painted_at = 0.0

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        self.painted_at = time.perf_counter()


def send(canvas: TimedCanvas, kind: QEvent.Type, at: Sequence[float], held: Qt.MouseButton) -> Wait:
    """Deliver one mouse event and wait for the paint that follows; milliseconds between the two."""
    button = NONE if kind == QEvent.Type.MouseMove else LEFT
    event = QMouseEvent(kind, QPointF(*at), QPointF(*at), button, held, Qt.KeyboardModifier.NoModifier)
    sent = now()
    QCoreApplication.sendEvent(canvas, event)
    return painted(canvas, sent)


def painted(canvas: TimedCanvas, since: tuple[float, float]) -> Wait:
    """Wait until the canvas has painted; how long that took."""
    while canvas.painted_at < since[0]:
        QCoreApplication.processEvents()
        if time.perf_counter() - since[0] > 300:
            raise SystemExit("nothing was painted within 300 s")
    return Wait.since(since, canvas.painted_at)


def stroke(canvas: TimedCanvas, rng: np.random.Generator, *, step: float = 14.0) -> tuple[list[Wait], Wait]:
    """Draw like a hand does: milliseconds of the moves, and of the release."""
    at = rng.uniform((80, 80), (1200, 720))
    send(canvas, QEvent.Type.MouseButtonPress, at, LEFT)
    heading, moves = rng.uniform(0, 2 * np.pi), []
    for _ in range(POINTS):
        heading += rng.normal(0, 0.4)
        at = np.clip(at + step * np.array((np.cos(heading), np.sin(heading))), 5, (1275, 795))
        moves.append(send(canvas, QEvent.Type.MouseMove, at, LEFT))
    return moves, send(canvas, QEvent.Type.MouseButtonRelease, at, NONE)


def dab(canvas: Canvas, rng: np.random.Generator) -> Wait:
    """A short stroke; milliseconds from the release until it is in the journal and painted."""
    at = rng.uniform(0.3, 0.7, 2) * (canvas.width(), canvas.height())
    for kind, held in ((QEvent.Type.MouseButtonPress, LEFT), (QEvent.Type.MouseMove, LEFT)):
        button = LEFT if kind is QEvent.Type.MouseButtonPress else NONE
        event = QMouseEvent(kind, QPointF(*at), QPointF(*at), button, held, Qt.KeyboardModifier.NoModifier)
        QCoreApplication.sendEvent(canvas, event)
        QCoreApplication.processEvents()
        at = at + 30
    released = now()
    event = QMouseEvent(
        QEvent.Type.MouseButtonRelease, QPointF(*at), QPointF(*at), LEFT, NONE, Qt.KeyboardModifier.NoModifier
    )
    QCoreApplication.sendEvent(canvas, event)
    QCoreApplication.processEvents()
    return Wait.since(released)
