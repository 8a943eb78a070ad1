"""The command palette: type a few letters of what you want to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from labeler.ui.controls import label
from labeler.ui.rowlist import AnyIndex
from labeler.ui.theme import L, M, S, follow, theme

_SHOWN = 60
_GROUP_ROLE, _KEY_ROLE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the palette."""

    text: str
    run: Callable[[], object]
    group: str = ""
    key: str = ""
    icon: QIcon | None = None


def score(wanted: str, text: str) -> float | None:
    """How well letters typed match a text, the higher the better; None where they are not all in it, in order."""
    wanted, text = wanted.casefold(), text.casefold()
    total, at = 0.0, 0
    for letter in wanted.replace(" ", ""):
        found = text.find(letter, at)
        if found < 0:
            return None
        begins = found == 0 or not text[found - 1].isalnum()
        total += 3.0 if begins else 2.0 if found == at and at > 0 else 0.5
        at = found + 1
    return total - len(text) / 200 + (5.0 if wanted.strip() and wanted.strip() in text else 0.0)


def matching(wanted: str, commands: Iterable[Command]) -> list[Command]:
    """The commands that match, best first; all, as they came, where nothing is wanted."""
    scored = ((score(wanted, f"{command.text} {command.group}"), command) for command in commands)
    found = [(value, command) for value, command in scored if value is not None]
    return (
        [command for _, command in sorted(found, key=lambda pair: -pair[0])]
        if wanted.strip()
        else [command for _, command in found]
    )


class _Row(QStyledItemDelegate):
    """Text at the left, group and key at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(theme.px(200), theme.px(32))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        colours, rect = theme.colours, option.rect
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colours.accent_soft))
        side = theme.px(18)
        icon: QIcon | None = index.data(Qt.ItemDataRole.DecorationRole)
        if icon is not None:
            icon.paint(painter, QRect(rect.left() + theme.px(M), rect.center().y() - side // 2, side, side))
        words = rect.adjusted(2 * theme.px(M) + side, 0, -theme.px(M), 0)
        painter.setFont(theme.font("caption"))
        painter.setPen(QColor(colours.muted))
        right = "   ".join(part for part in (index.data(_GROUP_ROLE), index.data(_KEY_ROLE)) if part)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, right)
        words.setRight(words.right() - painter.fontMetrics().horizontalAdvance(right) - theme.px(M))
        painter.setFont(theme.font())
        painter.setPen(QColor(colours.text))
        text = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.restore()


class CommandPalette(QDialog):
    """A field and what matches it; Return runs the first, the arrows choose another."""

    def __init__(self, commands: Sequence[Command], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self._over = parent
        self.setWindowTitle(self.tr("Find a command"))
        self.setAccessibleName(self.windowTitle())
        self._commands = commands
        self._shown: list[Command] = []
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("What do you want to do?"))
        self.field.setAccessibleName(self.tr("What do you want to do?"))
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Commands"))
        self.list.setItemDelegate(_Row(self.list))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.none = label(self.tr("No command matches. Try fewer letters."), "muted", wraps=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(S, S, S, S)
        layout.setSpacing(S)
        for part in (self.field, self.none, self.list):
            layout.addWidget(part)
        self.none.setMargin(L)
        self.field.installEventFilter(self)
        self.field.textChanged.connect(self._show)
        self.list.itemClicked.connect(lambda _: self.accept())
        follow(self, CommandPalette._place)
        self._show("")

    def _place(self) -> None:
        parent = self._over
        width = min(theme.px(560), parent.width() - 2 * theme.px(L))
        self.setFixedSize(width, min(theme.px(420), parent.height() - theme.px(96)))
        self.move(parent.mapToGlobal(QPoint((parent.width() - width) // 2, theme.px(48))))

    def _show(self, wanted: str) -> None:
        self._shown = matching(wanted, self._commands)[:_SHOWN]
        self.list.clear()
        for command in self._shown:
            item = QListWidgetItem(command.text)
            if command.icon is not None:
                item.setIcon(command.icon)
            item.setData(_GROUP_ROLE, command.group)
            item.setData(_KEY_ROLE, command.key)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{command.text}, {command.group} {command.key}")
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.setVisible(bool(self._shown))
        self.none.setVisible(not self._shown)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}.get(
                Qt.Key(event.key())
            )
            if step is not None and self._shown:
                self.list.setCurrentRow(min(max(self.list.currentRow() + step, 0), len(self._shown) - 1))
                return True
        return False

    def accept(self) -> None:
        """Run what is chosen, once the palette is gone: it may open a dialog of its own."""
        row = self.list.currentRow()
        command = self._shown[row] if 0 <= row < len(self._shown) else None
        super().accept()
        if command is not None:
            command.run()

    def changeEvent(self, event: QEvent) -> None:
        """A click elsewhere puts it away."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.ActivationChange and self.isVisible() and not self.isActiveWindow():
            self.reject()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.accept()
        else:
            super().keyPressEvent(event)
