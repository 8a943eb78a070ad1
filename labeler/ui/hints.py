"""A word beside the cursor about the tool in hand, the first three times it is used."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QAction, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from labeler.ui.actions import ACTIONS, translated
from labeler.ui.controls import label
from labeler.ui.theme import XS, S, theme

USES = 3


class Hints(QFrame):
    """Follows the cursor over the canvas until the tool has been used; takes no clicks."""

    def __init__(self, over: QWidget, actions: Mapping[str, QAction]) -> None:
        super().__init__(over)
        self._over = over
        self._actions = actions
        self._tips = {spec.name: spec.tip for spec in ACTIONS if spec.checkable and spec.tip}
        self._tool = ""
        self.wanted = True  # a preference
        self.used: dict[str, int] = {}  # how often each tool was used while its hint was shown
        self.setProperty("role", "toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.text = label("", "caption")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(S, XS, S, XS)
        layout.addWidget(self.text)
        over.installEventFilter(self)
        self.hide()

    def choose(self, tool: str) -> None:
        """This tool is in hand."""
        self._tool = tool
        self.text.setText(translated(self._tips[tool]) if tool in self._tips else "")
        self.setAccessibleName(self.text.text())
        self.hide()

    def note_use(self) -> None:
        """The tool in hand has done something: its hint goes, for good after a few times."""
        if self._is_due():
            self.used[self._tool] = self.used.get(self._tool, 0) + 1
        self.hide()

    def _is_due(self) -> bool:
        return self.wanted and self._tool in self._tips and self.used.get(self._tool, 0) < USES

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind is QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            free = event.buttons() == Qt.MouseButton.NoButton
            if free and self._is_due() and getattr(self._over, "has_image", False):
                self._place(event.position().toPoint())
        elif kind in (QEvent.Type.Leave, QEvent.Type.MouseButtonPress, QEvent.Type.Wheel):
            self.hide()
        return False

    def _place(self, cursor: QPoint) -> None:
        self.adjustSize()
        away = theme.px(18)
        x = min(cursor.x() + away, self._over.width() - self.width() - S)
        below = cursor.y() + away
        y = below if below + self.height() < self._over.height() else cursor.y() - away - self.height()
        self.move(max(x, 0), y)
        self.show()
        self.raise_()
