"""The report: every label beside what the model had said of it, the worst first; a click opens the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from labeler.records import Split
from labeler.review import Judged
from labeler.ui.controls import Choice, icon_button, label, rule
from labeler.ui.rowlist import AnyIndex
from labeler.ui.theme import XS, L, M, S, follow, theme
from labeler.ui.tiles import Tile

_JudgedRole = Qt.ItemDataRole.UserRole
_SIDE = 176
_CAPTION = 26


class JudgedModel(QAbstractListModel):
    """The tiles; each is drawn when it is first painted."""

    def __init__(self, ask: Callable[[Judged], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._ask = ask
        self.items: list[Judged] = []
        self.names: Sequence[str] = ()  # of the classes
        self._tiles: dict[int, tuple[Tile, QPixmap]] = {}
        self._asked: set[int] = set()

    def show(self, items: Sequence[Judged], names: Sequence[str]) -> None:
        """These tiles, in this order."""
        self.beginResetModel()
        self.items, self.names = list(items), names
        self.endResetModel()

    def forget(self) -> None:
        """The labels have changed: draw all anew."""
        self._tiles.clear()
        self._asked.clear()

    def tile(self, item: Judged) -> tuple[Tile, QPixmap] | None:
        """The tile, or None while it is being drawn."""
        found = self._tiles.get(item.image_id)
        if found is None and item.image_id not in self._asked:
            self._asked.add(item.image_id)
            self._ask(item)
        return found

    def add(self, tile: Tile) -> None:
        """A tile has been drawn."""
        pixels = np.ascontiguousarray(tile.pixels)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._tiles[tile.image_id] = tile, QPixmap.fromImage(image)
        for row, item in enumerate(self.items):
            if item.image_id == tile.image_id:
                self.dataChanged.emit(self.index(row), self.index(row))

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        item = self.items[index.row()]
        if role == _JudgedRole:
            return item
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self.tr("Image {}, IoU {:.2f}").format(item.image_id, item.iou)
        return None

    def verdicts(self, tile: Tile) -> list[tuple[str, bool]]:
        """Each class of prediction and label in words, and whether the prediction had it right.

        A sign stands beside the colour, for eyes that tell green and red apart badly.
        """
        if tile.predicted is None:
            return [(self.tr("prediction not kept"), False)]
        if not tile.predicted and not tile.labelled:
            return [("✓ " + self.tr("nothing"), True)]
        right, wrong = tile.predicted & tile.labelled, tile.predicted - tile.labelled
        return [
            *((f"✓ {self._name(value)}", True) for value in sorted(right)),
            *((f"✗ {self._name(value)}", False) for value in sorted(wrong)),
            *(("✗ " + self.tr("{} missed").format(self._name(v)), False) for v in sorted(tile.labelled - right)),
        ]

    def _name(self, value: int) -> str:
        return self.names[value - 1] if 0 < value <= len(self.names) else str(value)


class TileDelegate(QStyledItemDelegate):
    """IoU in the upper left corner, the class below: green where the prediction had it right, red where not."""

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(theme.px(_SIDE + S), theme.px(_SIDE + _CAPTION + S))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        item: Judged = index.data(_JudgedRole)
        model = index.model()
        assert isinstance(model, JudgedModel)
        colours = theme.colours
        side = theme.px(_SIDE)
        frame = QRect(option.rect.left() + theme.px(XS), option.rect.top() + theme.px(XS), side, side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(frame, QColor(colours.sunken))
        drawn = model.tile(item)
        if drawn is not None:
            size = drawn[1].size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRect(frame.topLeft(), size)
            target.moveCenter(frame.center())
            painter.drawPixmap(target, drawn[1])
            self._paint_class(
                painter, QRect(frame.left(), frame.bottom() + 1, side, theme.px(_CAPTION)), drawn[0], model
            )
        self._paint_iou(painter, frame, item)
        if option.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(QColor(colours.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(frame.adjusted(-1, -1, 0, 0))
        painter.restore()

    def _paint_iou(self, painter: QPainter, frame: QRect, item: Judged) -> None:
        text = f"{item.iou:.2f}"
        painter.setFont(theme.font("body", bold=True))
        size = painter.fontMetrics().size(0, text)
        plate = QRectF(frame.left(), frame.top(), size.width() + theme.px(S), size.height() + theme.px(XS))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 200))
        painter.drawRect(plate)
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_class(self, painter: QPainter, area: QRect, tile: Tile, model: JudgedModel) -> None:
        painter.setFont(theme.font("caption", bold=True))
        left = area.left()
        for text, right in model.verdicts(tile):
            painter.setPen(QColor(theme.colours.good if right else theme.colours.bad))
            shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, area.right() - left)
            place = QRect(left, area.top(), area.right() - left, area.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
            left += painter.fontMetrics().horizontalAdvance(shown) + theme.px(S)


class ReportPage(QWidget):
    """Takes the place of the canvas."""

    closed = Signal()
    chosen = Signal(int)  # image_id

    def __init__(self, ask: Callable[[Judged], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._all: list[Judged] = []
        self._names: Sequence[str] = ()
        self.model = JudgedModel(ask, self)
        self.view = QListView()
        self.view.setAccessibleName(self.tr("Labels and what the model had predicted, the worst first"))
        self.view.setProperty("role", "flush")
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setModel(self.model)
        self.view.setItemDelegate(TileDelegate(self.view))
        self.view.activated.connect(self._open)
        self.view.clicked.connect(self._open)
        follow(self.view, lambda view: view.scheduleDelayedItemsLayout())
        self.split = Choice(self.tr("Which labels"), least=6)
        for text, value in (
            (self.tr("All labels"), None),
            (self.tr("Holdout: never trained on"), Split.HOLDOUT),
            (self.tr("Core: trained on"), Split.CORE),
        ):
            self.split.addItem(text, value)
        self.split.currentIndexChanged.connect(lambda _: self._show())
        self.figures = label("", "strong", wraps=True)
        self.legend = label(
            self.tr("Blue: predicted, before you corrected it. Red: wrong pixels. In the corner: IoU with your mask."),
            "caption",
            wraps=True,
        )
        self.empty = label("", "muted", wraps=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(L)
        self._lay_out()

    def _lay_out(self) -> None:
        bar = QFrame()
        bar.setProperty("role", "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(M, XS, S, XS)
        row.setSpacing(M)
        row.addWidget(self.split)
        row.addWidget(self.figures, 1)
        close = icon_button("close", self.tr("Back to the canvas (Esc)"))
        close.clicked.connect(self.closed)
        row.addWidget(close)
        body = QWidget()
        self._stack = QStackedLayout(body)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(rule())
        layout.addWidget(body, 1)
        self.legend.setContentsMargins(M, XS, M, XS)
        layout.addWidget(self.legend)

    def show_judged(self, items: Sequence[Judged], names: Sequence[str]) -> None:
        """The labels to report about, and the names of the classes."""
        if list(items) != self._all:
            self.model.forget()
        self._all, self._names = list(items), names
        self._show()

    def _show(self) -> None:
        split = self.split.currentData()
        shown = [item for item in self._all if split is None or item.split == split]
        self.model.show(shown, self._names)
        if shown:
            ious = np.array([item.iou for item in shown])
            text = self.tr("{:,} labels · mean IoU {:.3f} · lowest {:.2f}")
            self.figures.setText(text.format(len(shown), ious.mean(), ious.min()))
        else:
            self.figures.setText("")
        self.empty.setText(
            self.tr(
                "Label images that the model has predicted: each appears here beside what the model had said of it."
            )
        )
        self._stack.setCurrentWidget(self.view if shown else self.empty)
        self.legend.setVisible(bool(shown))

    def _open(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.items[index.row()].image_id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
