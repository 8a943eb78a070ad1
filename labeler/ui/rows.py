"""The figures of all images, kept for the window, and the news of which have changed."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from labeler.project import Project
from labeler.ui.columns import Columns

TELL_MS = 200  # rows that change together are told together; a person's own acts are told at once
SLICE = 500  # rows that are read in one go: some 5 ms


class Rows(QObject):
    """The columns of all images, read again where they have changed, a slice at a time where all have."""

    told = Signal(object)  # set of image ids, or None for everything; the columns are fresh by then

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = Columns()
        self._project: Project | None = None
        self._changed: set[int] = set()
        self._fresh: Columns | None = None  # while everything is read again
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
        self.columns, self._fresh = Columns(), None
        self._changed.clear()

    def note(self, changed: set[int]) -> None:
        """These images have changed; it is told soon."""
        self._changed |= changed
        if not self._telling.isActive():
            self._telling.start()

    def note_all(self) -> None:
        """Everything may have changed; it is told as soon as it has been read."""
        if self._project is not None:
            self._fresh = Columns()
            self._reading.start()
            self._read_slice()

    @Slot()
    def tell(self) -> None:
        """Tell now what is waiting to be told."""
        self._telling.stop()
        if self._project is None or not self._changed or self._fresh is not None:
            return  # a complete reading is under way and tells it in the end
        changed, self._changed = self._changed, set()
        self.columns.update(self._project.briefs_of(changed))
        self.told.emit(changed)

    @Slot()
    def _read_slice(self) -> None:
        if self._project is None or self._fresh is None:
            self._reading.stop()
            return
        last = int(self._fresh.ids[-1]) if len(self._fresh) else 0
        found = self._project.briefs(after=last, limit=SLICE)
        self._fresh.update(found)
        if len(found) == SLICE:
            return
        self._reading.stop()
        self.columns, self._fresh = self._fresh, None
        self.columns.update(self._project.briefs_of(self._changed))  # what was written while the slices were read
        self._changed.clear()
        self._telling.stop()
        self.told.emit(None)
