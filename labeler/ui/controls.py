"""The controls that every panel is made of."""

from __future__ import annotations

import html
from typing import TypeVar

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QAction, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QLabel,
    QLayout,
    QLayoutItem,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QTabWidget,
    QToolButton,
    QWidget,
)

from labeler.ui.theme import dress, follow, theme

Spin = TypeVar("Spin", bound=QAbstractSpinBox)


class PlainLabel(QLabel):
    """A label that never reads its text as HTML; with ``elides`` it shortens one line instead of asking for room."""

    def __init__(self, text: str = "", *, elides: bool = False) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._elides = elides
        if elides:
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._elides:
            super().paintEvent(event)
            return
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(self.rect(), self.alignment(), shown)
        self.setToolTip(plain_tip(self.text()) if shown != self.text() else "")


def plain_tip(text: str) -> str:
    """A tooltip that shows ``text`` as it is: Qt would take file names with tags for HTML."""
    return f"<qt>{html.escape(text)}</qt>"


def label(text: str = "", role: str = "", *, wraps: bool = False, elides: bool = False) -> PlainLabel:
    """A plain label with a role of the type scale."""
    made = PlainLabel(text, elides=elides)
    made.setWordWrap(wraps)
    if role:
        made.setProperty("role", role)
    return made


def tool_button(action: QAction) -> QToolButton:
    """An icon button of an action."""
    made = QToolButton()
    made.setDefaultAction(action)
    made.setAccessibleName(action.text())
    # A click must not take the focus from the canvas.
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    follow(made, lambda widget: widget.setIconSize(theme.icon_size()))
    return made


def icon_button(name: str, text: str) -> QToolButton:
    """An icon button that is no action; ``text`` is its tooltip and accessible name."""
    made = QToolButton()
    made.setToolTip(text)
    made.setAccessibleName(text)
    dress(made, name)
    follow(made, lambda widget: widget.setIconSize(QSize(theme.px(16), theme.px(16))))
    return made


def plain_tabs(tabs: QTabWidget) -> None:
    """Tabs without a base line, which shrink their text before they hide behind arrows."""
    tabs.tabBar().setDrawBase(False)
    tabs.setUsesScrollButtons(False)
    tabs.setElideMode(Qt.TextElideMode.ElideRight)


class ActionButton(QPushButton):
    """A push button that follows an action: its text, icon, tooltip, and whether it is possible."""

    def __init__(self, action: QAction, *, role: str = "", short: str = "") -> None:
        super().__init__()
        self._action, self._role, self._short, self._compact = action, role, short, False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if role:
            self.setProperty("role", role)
        action.changed.connect(self._renew)
        self.clicked.connect(action.trigger)
        follow(self, lambda button: button.setIconSize(QSize(theme.px(16), theme.px(16))))
        if role == "primary":
            dress(self, "check", role="on_accent")
        self._renew()

    def set_compact(self, compact: bool) -> None:
        """Only the icon with the short text, if there is one; or the whole text."""
        self._compact = compact
        self._renew()

    def _renew(self) -> None:
        action = self._action
        # The space: Fusion puts the icon close to the text.
        text = self._short if self._compact else action.iconText()
        self.setText(f" {text}" if text else "")
        self.setAccessibleName(action.text())
        self.setToolTip(action.toolTip())
        self.setEnabled(action.isEnabled())
        if self.parent() is not None or not action.isVisible():  # shown without a parent it would be a window
            self.setVisible(action.isVisible())
        if self._role != "primary":
            self.setIcon(action.icon())


class Choice(QComboBox):
    """A choice; with ``least`` letters it may be narrower than its words: they end in dots, the tooltip has them whole.

    The list that opens is a widget of its own, and has the same name.
    """

    def __init__(self, name: str, parent: QWidget | None = None, *, least: int = 0) -> None:
        super().__init__(parent)
        self.name_it(name, name)
        if least:
            self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            self.setMinimumContentsLength(least)

    def name_it(self, name: str, tip: str) -> None:
        """What it is called, and what its tooltip says."""
        self._tip = tip
        self.setAccessibleName(name)
        self.view().setAccessibleName(name)
        self.setToolTip(tip)

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(theme.px(4), 0)  # the style leaves its own text two pixels short

    def paintEvent(self, event: QPaintEvent) -> None:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        kind, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(kind, option, field, self).width() - 2
        shown = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room)
        whole = shown == option.currentText
        self.setToolTip(self._tip if whole else plain_tip(f"{self._tip}: {option.currentText}"))
        option.currentText = shown
        painter = QStylePainter(self)
        painter.drawComplexControl(kind, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


def inset(spin: Spin) -> Spin:
    """A number field whose figure keeps off the frame, like the text of other fields: Qt leaves it no padding."""
    follow(spin, lambda widget: widget.lineEdit().setTextMargins(theme.px(5), 0, 0, 0))
    return spin


def rule(*, vertical: bool = False) -> QFrame:
    """A hairline."""
    line = QFrame()
    line.setProperty("role", "line")
    if vertical:
        line.setFixedWidth(1)
    else:
        line.setFixedHeight(1)
    return line


class FlowLayout(QLayout):
    """Items in rows that break where the width ends, so that nothing is cut off on a narrow window."""

    def __init__(self, parent: QWidget, *, spacing: int, rows_apart: int) -> None:
        super().__init__(parent)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        parent.setSizePolicy(policy)
        self._items: list[QLayoutItem] = []
        self._rows_apart = rows_apart
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), move=False)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        margins = self.contentsMargins()
        return size + QSize(margins.left() + margins.right(), margins.top() + margins.bottom())

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, move=True)

    def _place(self, rect: QRect, *, move: bool) -> int:
        margins = self.contentsMargins()
        inner = rect.marginsRemoved(margins)
        x, y, tall = inner.left(), inner.top(), 0
        for item in self._items:
            if item.isEmpty():  # hidden
                continue
            size = item.sizeHint()
            if x > inner.left() and x + size.width() > inner.right() + 1:
                x, y, tall = inner.left(), y + tall + self._rows_apart, 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), size))
            x += size.width() + self.spacing()
            tall = max(tall, size.height())
        return y + tall + margins.bottom() - rect.top()
