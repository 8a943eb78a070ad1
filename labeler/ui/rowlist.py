"""A list of images: rows by id, read when they are painted, so that a million of them cost what a screenful costs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractButton,
    QHeaderView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from labeler.errors import LabelerError
from labeler.records import ImageRecord, ImageState
from labeler.ui.columns import Ids
from labeler.ui.controls import label
from labeler.ui.marks import draw_state
from labeler.ui.theme import M, S, follow, theme
from labeler.ui.told import told
from labeler.ui.wording import confidence_text, is_calibrated, percent, state_name, state_word, tr

RecordRole = Qt.ItemDataRole.UserRole
AnyIndex = QModelIndex | QPersistentModelIndex
THUMBNAIL = 44
_THUMBNAILS_KEPT = 3000
_DIM, _LIFTED, _MOST_GAIN = 128, 200, 8  # grey levels: below it a thumbnail is lifted, to where; noise stays noise
_RECORDS_KEPT = 2000


class Records:
    """The records of the rows that were painted lately; the rest stays in the catalogue."""

    def __init__(self, read: Callable[[int], ImageRecord]) -> None:
        self._read = read
        self._kept: OrderedDict[int, ImageRecord] = OrderedDict()

    def of(self, image_id: int) -> ImageRecord | None:
        """The record of an image; None where the catalogue cannot be read just now."""
        record = self._kept.get(image_id)
        if record is None:
            try:
                record = self._kept[image_id] = self._read(image_id)
            except LabelerError:
                return None
            if len(self._kept) > _RECORDS_KEPT:
                self._kept.popitem(last=False)
        return record

    def forget(self, image_ids: Iterable[int] | None) -> None:
        """These have changed; None: all."""
        if image_ids is None:
            self._kept.clear()
            return
        for image_id in image_ids:
            self._kept.pop(image_id, None)


class RecordModel(QAbstractListModel):
    """A list of image ids."""

    def __init__(self, records: Records, parent: QWidget) -> None:
        super().__init__(parent)
        self._records = records
        self._ids: Ids = np.zeros(0, np.int64)
        self._rows: NDArray[np.int32] = np.zeros(0, np.int32)  # by id; -1: not shown

    def show(self, ids: Ids) -> None:
        """Show these images in this order."""
        if np.array_equal(ids, self._ids):
            return
        known = len(self._ids)
        if known and np.array_equal(ids[:known], self._ids):  # a growing stream must not lose the scroll position
            self.beginInsertRows(QModelIndex(), known, len(ids) - 1)
            self._adopt(ids)
            self.endInsertRows()
            return
        self.beginResetModel()
        self._adopt(ids)
        self.endResetModel()

    def _adopt(self, ids: Ids) -> None:
        self._ids = ids
        self._rows = np.full(int(ids.max()) + 1 if len(ids) else 0, -1, np.int32)
        self._rows[ids] = np.arange(len(ids), dtype=np.int32)

    def touch(self, ids: Iterable[int]) -> None:
        """Repaint the rows of these images."""
        for image_id in ids:
            row = self.row_of(image_id)
            if row >= 0:
                self.dataChanged.emit(self.index(row), self.index(row))

    def row_of(self, image_id: int) -> int:
        """Row of an image, -1 where it is not shown."""
        return int(self._rows[image_id]) if 0 <= image_id < len(self._rows) else -1

    def id_at(self, row: int) -> int:
        """The image of a row."""
        return int(self._ids[row])

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role not in _ANSWERED or not index.isValid():
            return None
        record = self._records.of(self.id_at(index.row()))
        if record is None or role == RecordRole:
            return record
        if role == Qt.ItemDataRole.DisplayRole:
            return record.path.name
        return f"{record.path.name}, {describe(record)}"


_ANSWERED = frozenset({RecordRole, Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole})


def describe(record: ImageRecord) -> str:
    """State of an image and what there is to say about it."""
    if record.state is ImageState.UNREADABLE:
        return told(record.reason)
    if not _is_scored(record):
        return state_name(record.state)
    return f"{confidence_text(record)} · {state_name(record.state)}"


def note(record: ImageRecord) -> str:
    """What stands in a row beside the mark of the state."""
    if not _is_scored(record) or record.confidence is None:
        return state_word(record.state)
    # There is room for one of the two, and the mark tells the state.
    said = state_word(record.state) if is_calibrated(record) else tr("uncalibrated")
    return f"{percent(record.confidence)} · {said}"


def _is_scored(record: ImageRecord) -> bool:
    """Whether a score is shown; that of a probe that waits must not sway its judge."""
    is_blind = record.probe and record.state is ImageState.QUEUED
    return record.confidence is not None and record.state is not ImageState.UNREADABLE and not is_blind


def lifted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A thumbnail (h, w, 3) uint8 bright enough to be told from others: rows of fluorescence would all be black."""
    bright = float(np.percentile(pixels, 99.5))
    if bright == 0 or bright >= _DIM:
        return pixels
    gain = min(_LIFTED / bright, _MOST_GAIN)
    brighter: NDArray[np.uint8] = np.minimum(pixels * np.float32(gain), 255).astype(np.uint8)
    return brighter


class Thumbnails:
    """Pixmaps by image id, the least recently shown dropped first; asks once for those that are missing."""

    def __init__(self, ask: Callable[[int], None]) -> None:
        self._ask = ask
        self._kept: OrderedDict[int, QPixmap] = OrderedDict()
        self._asked: set[int] = set()

    def of(self, image_id: int) -> QPixmap | None:
        """The thumbnail, or None while it is on its way."""
        pixmap = self._kept.get(image_id)
        if pixmap is not None:
            self._kept.move_to_end(image_id)
        elif image_id not in self._asked:
            self._asked.add(image_id)
            self._ask(image_id)
            return self._kept.get(image_id)  # it may have come at once
        return pixmap

    def add(self, image_id: int, pixels: NDArray[np.uint8]) -> None:
        """Keep the thumbnail (h, w, 3) of an image."""
        pixels = np.ascontiguousarray(lifted(pixels))
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, width * 3, QImage.Format.Format_RGB888)
        self._kept[image_id] = QPixmap.fromImage(image)
        self._asked.discard(image_id)
        while len(self._kept) > _THUMBNAILS_KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._asked.clear()


class RecordDelegate(QStyledItemDelegate):
    """Paints a row: thumbnail, name, state dot, confidence as a figure and as a bar."""

    def __init__(self, thumbnails: Thumbnails, parent: QWidget) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        record: ImageRecord | None = index.data(RecordRole)
        if record is None:
            return
        colours, rect = theme.colours, option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colours.accent_soft))
            painter.fillRect(QRect(rect.left(), rect.top(), theme.px(3), rect.height()), QColor(colours.accent))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colours.hover))
        side = theme.px(THUMBNAIL)
        frame = QRect(rect.left() + theme.px(M), rect.center().y() - side // 2, side, side)
        self._paint_thumbnail(painter, frame, record)
        left = frame.right() + theme.px(M)
        self._paint_text(painter, QRect(left, rect.top(), rect.right() - left - theme.px(S), rect.height()), record)
        painter.restore()

    def _paint_thumbnail(self, painter: QPainter, frame: QRect, record: ImageRecord) -> None:
        painter.fillRect(frame, QColor(theme.colours.sunken))
        if record.state is ImageState.UNREADABLE:
            return
        pixmap = self._thumbnails.of(record.image_id)
        if pixmap is not None:
            size = pixmap.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRect(QPoint(0, 0), size)
            target.moveCenter(frame.center())
            painter.drawPixmap(target, pixmap)

    def _paint_text(self, painter: QPainter, rect: QRect, record: ImageRecord) -> None:
        colours, half = theme.colours, rect.height() // 2
        painter.setFont(theme.font())
        painter.setPen(QColor(colours.text))
        upper = QRect(rect.left(), rect.top(), rect.width(), half)
        name = painter.fontMetrics().elidedText(record.path.name, Qt.TextElideMode.ElideMiddle, upper.width())
        painter.drawText(upper, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, name)

        dot = theme.px(9)
        lower = QRect(rect.left(), rect.top() + half + theme.px(2), rect.width(), half - theme.px(6))
        draw_state(painter, QRectF(lower.left(), lower.center().y() - dot / 2, dot, dot), record.state)
        painter.setFont(theme.font("caption"))
        painter.setPen(QColor(colours.muted))
        words = lower.adjusted(dot + theme.px(6), 0, 0, 0)
        text = painter.fontMetrics().elidedText(note(record), Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


class _Table(QTableView):
    """One column without headers. A QListView asks the model twice for every row it has whenever they change."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        for part in (self, self.horizontalHeader(), self.verticalHeader(), *self.findChildren(QAbstractButton)):
            part.setAccessibleName(name)
        self.setProperty("role", "flush")
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.horizontalHeader().hide()
        self.horizontalHeader().setStretchLastSection(True)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        follow(self, lambda view: view.verticalHeader().setDefaultSectionSize(theme.px(THUMBNAIL + 12)))


class RecordList(QWidget):
    """A list of images, or a sentence where there are none."""

    chosen = Signal(int)

    def __init__(self, model: RecordModel, thumbnails: Thumbnails, name: str) -> None:
        super().__init__()
        self.model = model
        self.view = _Table(name, self)
        self.view.setModel(model)
        self.view.setItemDelegate(RecordDelegate(thumbnails, self.view))
        self.view.selectionModel().currentChanged.connect(self._choose)
        model.modelReset.connect(self._settle)
        model.rowsInserted.connect(self._settle)
        self.empty = label("", "muted", wraps=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(M)
        self._stack = QStackedLayout(self)
        page = QWidget()
        self._ways = QVBoxLayout(page)
        self._ways.setContentsMargins(S, S, S, S)
        self._ways.setSpacing(S)
        self._ways.addStretch(1)
        self._ways.addWidget(self.empty)
        self._ways.addStretch(1)
        self._stack.addWidget(page)
        self._stack.addWidget(self.view)
        self._current = -1
        self._selecting = False

    def offer(self, *ways: QWidget) -> None:
        """Put what can be done below the sentence; who offers it shows and hides it."""
        for way in ways:
            self._ways.insertWidget(self._ways.count() - 1, way, 0, Qt.AlignmentFlag.AlignHCenter)

    def select(self, image_id: int) -> None:
        """Mark the image that is shown, without asking for it again."""
        self._current = image_id
        row = self.model.row_of(image_id)
        self._selecting = True
        if row < 0:
            self.view.selectionModel().clear()
        else:
            self.view.setCurrentIndex(self.model.index(row))
            self.view.scrollTo(self.model.index(row))
        self._selecting = False

    def _settle(self) -> None:
        self._stack.setCurrentIndex(1 if self.model.rowCount() else 0)
        self.select(self._current)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid() and not self._selecting:
            self.chosen.emit(self.model.id_at(index.row()))
