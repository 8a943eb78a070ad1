"""The three parts of the page: images, canvas, panels, and how wide each of them is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QSplitter, QWidget

from labeler.ui.theme import follow, theme

_LEFT, _RIGHT = 252, 292


class Sides(QSplitter):
    """Left, centre and right; the centre takes what room there is more, or less."""

    def __init__(self, left: QWidget, centre: QWidget, right: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._liked: tuple[int, ...] = ()
        self.setChildrenCollapsible(False)
        self.setHandleWidth(1)
        for place, (part, stretch) in enumerate(((left, 0), (centre, 1), (right, 0))):
            self.addWidget(part)
            self.setStretchFactor(place, stretch)
        follow(left, lambda widget: widget.setMinimumWidth(theme.px(150)))
        follow(right, lambda widget: widget.setMinimumWidth(theme.px(180)))
        follow(self, Sides._share)

    def adopt(self, widths: Sequence[int]) -> None:
        """Take the widths that were liked last time."""
        if len(widths) == self.count():
            self._liked = tuple(widths)
            self.setSizes(list(widths))

    def liked(self) -> tuple[int, ...]:
        """The widths to remember."""
        return tuple(self.sizes()) if self.isVisible() else self._liked

    def _share(self) -> None:
        # Wider text and a wider window give wider sides, but the middle keeps about half of it.
        total = max(self.width(), 1280)
        left, right = (
            min(max(theme.px(side), round(total * least)), round(total * most))
            for side, least, most in ((_LEFT, 0.17, 0.25), (_RIGHT, 0.18, 0.27))
        )
        self.setSizes([left, total - left - right, right])

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._liked:  # only now it is known how wide the window is
            self._share()
            self._liked = tuple(self.sizes())
