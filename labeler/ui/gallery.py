"""Queue and gallery: the images of a project, in two lists."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QTimer, Signal, SignalInstance
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from labeler.ui.filters import FilterBar
from labeler.ui.ordering import OrderBox
from labeler.ui.rowlist import RecordList, RecordModel, Records, Thumbnails
from labeler.ui.tabs import FittingTabs
from labeler.ui.theme import S, dress

_SETTLE_MS = 150  # changes that arrive together are arranged together


class GalleryPanel(FittingTabs):
    """Queue and all images; asks the session for columns, records and thumbnails, and tells it what was chosen."""

    audit_requested = Signal()
    export_requested = Signal()

    def __init__(self, session: Any, parent: QWidget | None = None) -> None:
        super().__init__(QCoreApplication.translate("GalleryPanel", "Images"), parent)
        self._session = session
        self._records = Records(session.record)
        self._thumbnails = Thumbnails(session.request_thumbnail)
        self.queue = RecordList(RecordModel(self._records, self), self._thumbnails, self.tr("Queue"))
        self.gallery = RecordList(RecordModel(self._records, self), self._thumbnails, self.tr("All images"))
        self.filters = FilterBar(session.changed_by_round)
        self.add(self._queue_page(), self.tr("Queue"), "clock")
        self.add(self._gallery_page(), self.tr("All"), "folder")
        self._settling = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settling.timeout.connect(self.arrange)
        self.filters.changed.connect(self._filter)
        for panel in (self.queue, self.gallery):
            panel.chosen.connect(session.show_image)
        session.images_changed.connect(self._adopt)
        session.queue_changed.connect(self._settling.start)
        session.current_changed.connect(self._select)
        session.thumbnail_ready.connect(self._add_thumbnail)
        session.opened.connect(self._start_over)
        session.closed.connect(self._start_over)
        self.currentChanged.connect(lambda _: self._filter())
        self._name_tabs()

    def _queue_page(self) -> QWidget:
        page = QWidget()
        self.queue_order = OrderBox()
        self.queue_order.order_requested.connect(self._request_order)
        head = QVBoxLayout()
        head.setContentsMargins(S, S, S, 0)
        head.addWidget(self.queue_order)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.queue, 1)
        self.audit = self._way(self.tr("Audit"), "check", self.audit_requested)
        self.export = self._way(self.tr("Export…"), "export", self.export_requested)
        self.queue.offer(self.audit, self.export)
        return page

    def _way(self, text: str, icon: str, wish: SignalInstance) -> QPushButton:
        made = QPushButton(f" {text}")
        made.setAccessibleName(text)
        dress(made, icon)
        made.clicked.connect(lambda: wish.emit())
        made.hide()
        return made

    def _request_order(self, name: str) -> None:
        project = self._session.project
        if project is not None:
            why = self._session.save_settings(project.settings.model_copy(update={"acquisition": name}))
            if why:
                self._session.failed.emit(self.tr("The queue stays in the order it had"), why)

    def _gallery_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filters)
        layout.addWidget(self.gallery, 1)
        return page

    def explain_empty(self, queue: str, gallery: str, *, audits: bool = False, export: bool = False) -> None:
        """The sentences for an empty queue and an empty gallery, and which ways an empty queue offers."""
        self.queue.empty.setText(queue)
        self.gallery.empty.setText(gallery)
        self.audit.setVisible(audits)
        self.export.setVisible(export)

    def offer(self, *, versions: Sequence[int], classes: Sequence[str]) -> None:
        """What the gallery can be filtered by."""
        self.filters.offer(versions=versions, classes=classes)

    def show_changed(self) -> None:
        """Show what the last published model changed."""
        self.setCurrentIndex(1)
        self.filters.show_changed()

    def show_confidences(self, low: float, high: float) -> None:
        """Show the images with a confidence from ``low`` to ``high``."""
        self.setCurrentIndex(1)
        self.filters.show_confidences(low, high)

    def show_picked(self, image_ids: frozenset[int], name: str) -> None:
        """Show these images, under a name."""
        self.setCurrentIndex(1)
        self.filters.show_picked(image_ids, name)

    def arrange(self) -> None:
        """Order the queue anew, and the gallery while it is looked at."""
        self._settling.stop()
        self.queue.model.show(self._session.queue_ids())
        if self._session.project is not None:
            self.queue_order.show_order(self._session.project.settings.acquisition)
        self._filter()
        self._name_tabs()

    def _filter(self) -> None:
        if self.currentIndex() == 1:
            wanted, order = self.filters.wanted(), self.filters.chosen_order()
            self.gallery.model.show(self._session.columns.select(wanted, order))

    def _name_tabs(self) -> None:
        self.show_count(0, self.queue.model.rowCount())
        self.show_count(1, len(self._session.columns))

    def _adopt(self, changed: set[int] | None) -> None:
        self._records.forget(changed)
        if changed is None:
            self.arrange()
            for panel in (self.queue, self.gallery):
                panel.view.viewport().update()
            return
        for panel in (self.queue, self.gallery):
            panel.model.touch(itertools.islice(changed, 200))
        self._settling.start()

    def _start_over(self) -> None:
        self._thumbnails.clear()
        self.filters.reset()
        self._adopt(None)

    def _select(self, image_id: int) -> None:
        self.queue.select(image_id)
        self.gallery.select(image_id)

    def _add_thumbnail(self, image_id: int, pixels: NDArray[np.uint8]) -> None:
        self._thumbnails.add(image_id, pixels)
        for panel in (self.queue, self.gallery):
            panel.model.touch((image_id,))
