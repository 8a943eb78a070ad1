"""Where the window stood last time, and whether it would still be seen there."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QRect, QSize

_SEEN_PX = 96  # so much of the title bar must lie on a screen to be caught with a mouse
_TITLE_PX = 32


def on_screen(place: tuple[int, ...], screens: Sequence[QRect]) -> QRect | None:
    """The remembered rectangle (x, y, width, height), moved and cut where a screen is smaller or gone.

    None where nothing sensible is remembered.
    """
    if len(place) != 4 or place[2] < 200 or place[3] < 150 or not screens:
        return None
    rect = QRect(*place)
    title = QRect(rect.left(), rect.top() - _TITLE_PX, rect.width(), 2 * _TITLE_PX)
    home = max(screens, key=lambda screen: _area(screen.intersected(rect)))
    seen = home.intersected(title)
    # The frame lies outside this rectangle; a window that fills the screen keeps its title bar in sight.
    size = rect.size().boundedTo(home.size() - QSize(0, _TITLE_PX))
    if seen.width() >= _SEEN_PX and size == rect.size() and rect.top() >= home.top():
        return rect
    corner = QPoint(
        min(max(rect.left(), home.left()), home.right() + 1 - size.width()),
        min(max(rect.top(), home.top() + _TITLE_PX), home.bottom() + 1 - size.height()),
    )
    return QRect(corner, size)


def _area(rect: QRect) -> int:
    return max(rect.width(), 0) * max(rect.height(), 0)
