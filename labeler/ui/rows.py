"""The rows of the images, kept for the window, and the news of which have changed."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from labeler.project import Project
from labeler.records import ImageRecord

TELL_MS = 200  # rows that change together are told together; a person's own acts are told at once
SLICE = 300  # rows that are read in one go: some 10 ms


class Rows(QObject):
    """All images of the project in memory, read again where they have changed, a slice at a time where all have."""

    told = Signal(object)  # set of image ids, or None for everything; the rows are fresh by then

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project: Project | None = None
        self._rows: dict[int, ImageRecord] = {}
        self._changed: set[int] = set()
        self._fresh: dict[int, ImageRecord] | None = None  # while everything is read again
        self._telling = QTimer(self, singleShot=True, interval=TELL_MS)
        self._telling.timeout.connect(self.tell)
        self._reading = QTimer(self, interval=0)
        self._reading.timeout.connect(self._read_slice)

    def open(self, project: Project) -> None:
        """Keep the rows of this project."""
        self.close()
        self._project = project

    def close(self) -> None:
        """Forget the project and what was to be told."""
        self._telling.stop()
        self._reading.stop()
        self._project = None
        self._rows, self._fresh = {}, None
        self._changed.clear()

    def all(self) -> list[ImageRecord]:
        """Every image, in the order of the stream."""
        return list(self._rows.values())

    def note(self, changed: set[int]) -> None:
        """These images have changed; it is told soon."""
        self._changed |= changed
        if not self._telling.isActive():
            self._telling.start()

    def note_all(self) -> None:
        """Everything may have changed; it is told as soon as it has been read."""
        if self._project is not None:
            self._fresh = {}
            self._reading.start()
            self._read_slice()

    @Slot()
    def tell(self) -> None:
        """Tell now what is waiting to be told."""
        self._telling.stop()
        if self._project is None or not self._changed or self._fresh is not None:
            return  # a complete reading is under way and tells it in the end
        changed, self._changed = self._changed, set()
        self._renew(changed)
        self.told.emit(changed)

    def _renew(self, changed: set[int]) -> None:
        assert self._project is not None
        for image_id in sorted(changed):
            self._rows[image_id] = self._project.image(image_id)

    @Slot()
    def _read_slice(self) -> None:
        if self._project is None or self._fresh is None:
            self._reading.stop()
            return
        last = next(reversed(self._fresh), 0)
        found = self._project.images(after=last, limit=SLICE)
        self._fresh.update((record.image_id, record) for record in found)
        if len(found) == SLICE:
            return
        self._reading.stop()
        self._rows, self._fresh = self._fresh, None
        self._renew(self._changed)  # what was written while the slices were read
        self._changed.clear()
        self._telling.stop()
        self.told.emit(None)
