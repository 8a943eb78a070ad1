"""Queue and gallery: one list model over the records, shown through two filters."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from labeler.records import ImageRecord, ImageState
from labeler.ui.controls import label, plain_tabs
from labeler.ui.theme import M, S, follow, state_colour, theme
from labeler.ui.wording import percent, state_name

RecordRole = Qt.ItemDataRole.UserRole
AnyIndex = QModelIndex | QPersistentModelIndex
THUMBNAIL = 44
_THUMBNAILS_KEPT = 3000
_SETTLE_MS = 150  # changes that arrive together are arranged together


class Order(Enum):
    """How the gallery is sorted."""

    STREAM = "stream"
    UNSURE_FIRST = "unsure"
    SURE_FIRST = "sure"
    NAME = "name"
    STATE = "state"


_KEYS: dict[Order, Callable[[ImageRecord], Any]] = {
    Order.STREAM: lambda record: record.image_id,
    Order.UNSURE_FIRST: lambda record: (2.0 if record.confidence is None else record.confidence, record.image_id),
    Order.SURE_FIRST: lambda record: (1.0 if record.confidence is None else -record.confidence, record.image_id),
    Order.NAME: lambda record: (record.path.name.casefold(), record.image_id),
    Order.STATE: lambda record: (list(ImageState).index(record.state), record.image_id),
}


def arranged(
    records: Iterable[ImageRecord], *, state: ImageState | None = None, text: str = "", order: Order = Order.STREAM
) -> list[int]:
    """Ids of the records that pass a filter, sorted."""
    wanted = text.casefold()
    kept = (
        record
        for record in records
        if (state is None or record.state is state) and (not wanted or wanted in record.path.name.casefold())
    )
    return [record.image_id for record in sorted(kept, key=_KEYS[order])]


class RecordModel(QAbstractListModel):
    """A list of image ids; the records come from one shared dictionary, the thumbnails when a row is painted."""

    def __init__(self, records: dict[int, ImageRecord], parent: QWidget) -> None:
        super().__init__(parent)
        self._records = records
        self._ids: list[int] = []
        self._rows: dict[int, int] = {}

    def show(self, ids: Sequence[int]) -> None:
        """Show these images in this order."""
        if list(ids) == self._ids:
            return
        known = len(self._ids)
        if known and list(ids[:known]) == self._ids:  # a growing stream must not lose the scroll position
            self.beginInsertRows(QModelIndex(), known, len(ids) - 1)
            self._adopt(ids)
            self.endInsertRows()
            return
        self.beginResetModel()
        self._adopt(ids)
        self.endResetModel()

    def _adopt(self, ids: Sequence[int]) -> None:
        self._ids = list(ids)
        self._rows = {image_id: row for row, image_id in enumerate(self._ids)}

    def touch(self, ids: Iterable[int]) -> None:
        """Repaint the rows of these images."""
        for image_id in ids:
            row = self._rows.get(image_id)
            if row is not None:
                self.dataChanged.emit(self.index(row), self.index(row))

    def row_of(self, image_id: int) -> int:
        """Row of an image, -1 where it is not shown."""
        return self._rows.get(image_id, -1)

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        record = self._records.get(self._ids[index.row()]) if index.isValid() else None
        if record is None:
            return None
        if role == RecordRole:
            return record
        if role == Qt.ItemDataRole.DisplayRole:
            return record.path.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{record.path.name}, {describe(record)}"
        return None


def describe(record: ImageRecord) -> str:
    """State of an image and what there is to say about it."""
    if record.state is ImageState.UNREADABLE:
        return record.reason
    if record.confidence is None:
        return state_name(record.state)
    return f"{percent(record.confidence)} · {state_name(record.state)}"


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
        pixels = np.ascontiguousarray(pixels)
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

    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        return QSize(theme.px(80), theme.px(THUMBNAIL + 12))

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

        dot = theme.px(7)
        lower = QRect(rect.left(), rect.top() + half + theme.px(2), rect.width(), half - theme.px(6))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(state_colour(record.state))
        painter.drawEllipse(lower.left(), lower.center().y() - dot // 2, dot, dot)
        painter.setFont(theme.font("caption"))
        painter.setPen(QColor(colours.muted))
        words = lower.adjusted(dot + theme.px(6), 0, 0, 0)
        text = painter.fontMetrics().elidedText(describe(record), Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


class RecordList(QWidget):
    """A list of images, or a sentence where there are none."""

    chosen = Signal(int)

    def __init__(self, model: RecordModel, thumbnails: Thumbnails, name: str) -> None:
        super().__init__()
        self.model = model
        self.view = QListView(self)
        self.view.setProperty("role", "flush")
        self.view.setAccessibleName(name)
        self.view.setModel(model)
        self.view.setItemDelegate(RecordDelegate(thumbnails, self.view))
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.view.selectionModel().currentChanged.connect(self._choose)
        model.modelReset.connect(self._settle)
        model.rowsInserted.connect(self._settle)
        self.empty = label("", "muted", wraps=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(M)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.view)
        self._current = -1
        self._selecting = False
        follow(self.view, lambda view: view.scheduleDelayedItemsLayout())

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
        self._stack.setCurrentWidget(self.view if self.model.rowCount() else self.empty)
        self.select(self._current)

    def _choose(self, index: QModelIndex) -> None:
        record = index.data(RecordRole) if index.isValid() else None
        if record is not None and not self._selecting:
            self.chosen.emit(record.image_id)


class GalleryPanel(QTabWidget):
    """Queue and all images; asks the session for records, order and thumbnails, and tells it what was chosen."""

    def __init__(self, session: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._records: dict[int, ImageRecord] = {}
        self._thumbnails = Thumbnails(session.request_thumbnail)
        self.queue = RecordList(RecordModel(self._records, self), self._thumbnails, self.tr("Queue"))
        self.gallery = RecordList(RecordModel(self._records, self), self._thumbnails, self.tr("All images"))
        self.setDocumentMode(True)
        plain_tabs(self)
        self.setAccessibleName(self.tr("Images"))
        self.addTab(self.queue, "")
        self.addTab(self._gallery_page(), "")
        self._settling = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settling.timeout.connect(self.arrange)
        for panel in (self.queue, self.gallery):
            panel.chosen.connect(session.show_image)
        session.images_changed.connect(self._adopt)
        session.queue_changed.connect(self._settling.start)
        session.current_changed.connect(self._select)
        session.thumbnail_ready.connect(self._add_thumbnail)
        session.opened.connect(self._start_over)
        session.closed.connect(self._start_over)
        self._name_tabs()

    def _gallery_page(self) -> QWidget:
        page = QWidget()
        self.search = QLineEdit(page)
        self.search.setPlaceholderText(self.tr("Find by name"))
        self.search.setAccessibleName(self.tr("Find by name"))
        self.search.setClearButtonEnabled(True)
        self.state = QComboBox(page)
        self.state.setAccessibleName(self.tr("Show images in this state"))
        self.state.addItem(self.tr("All states"), None)
        for state in ImageState:
            self.state.addItem(state_name(state), state)
        self.order = QComboBox(page)
        self.order.setAccessibleName(self.tr("Sort images"))
        for order, text in (
            (Order.STREAM, self.tr("As they came")),
            (Order.UNSURE_FIRST, self.tr("Unsure first")),
            (Order.SURE_FIRST, self.tr("Sure first")),
            (Order.NAME, self.tr("By name")),
            (Order.STATE, self.tr("By state")),
        ):
            self.order.addItem(text, order)
        for box in (self.state, self.order):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(4)
        boxes = QHBoxLayout()
        boxes.addWidget(self.state, 1)
        boxes.addWidget(self.order, 1)
        head = QVBoxLayout()
        head.setContentsMargins(S, S, S, 0)
        head.addWidget(self.search)
        head.addLayout(boxes)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.gallery, 1)
        self.search.textChanged.connect(lambda: self._settling.start())
        self.state.currentIndexChanged.connect(lambda: self.arrange())
        self.order.currentIndexChanged.connect(lambda: self.arrange())
        return page

    def explain_empty(self, queue: str, gallery: str) -> None:
        """The sentences for an empty queue and an empty gallery."""
        self.queue.empty.setText(queue)
        self.gallery.empty.setText(gallery)

    def arrange(self) -> None:
        """Filter and sort both lists anew."""
        self._settling.stop()
        loop = self._session.loop
        chosen = self.state.currentData()  # Qt gives a plain string back
        self.queue.model.show([] if loop is None else self._in_queue(loop.queue()))
        self.gallery.model.show(
            arranged(
                self._records.values(),
                state=ImageState(chosen) if chosen else None,
                text=self.search.text(),
                order=self.order.currentData(),
            )
        )
        self._name_tabs()

    def _in_queue(self, waiting: Sequence[ImageRecord]) -> list[int]:
        self._records.update((record.image_id, record) for record in waiting)
        return [record.image_id for record in waiting]

    def _name_tabs(self) -> None:
        self.setTabText(0, self.tr("Queue") + f"  {self.queue.model.rowCount():,}")
        self.setTabText(1, self.tr("All") + f"  {len(self._records):,}")

    def _adopt(self, changed: set[int] | None) -> None:
        if changed is None:
            self._records.clear()
            self._records.update((record.image_id, record) for record in self._session.records())
            self.arrange()
            return
        for image_id in changed:
            self._records[image_id] = self._session.record(image_id)
        for panel in (self.queue, self.gallery):
            panel.model.touch(itertools.islice(changed, 200))
        self._settling.start()

    def _start_over(self) -> None:
        self._thumbnails.clear()
        self._adopt(None)

    def _select(self, image_id: int) -> None:
        self.queue.select(image_id)
        self.gallery.select(image_id)

    def _add_thumbnail(self, image_id: int, pixels: NDArray[np.uint8]) -> None:
        self._thumbnails.add(image_id, pixels)
        for panel in (self.queue, self.gallery):
            panel.model.touch((image_id,))
