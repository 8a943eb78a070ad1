"""Everything a session can tell, and how it tells of failures."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from enum import Enum

from PySide6.QtCore import QObject, Signal, Slot

from labeler.errors import LabelerError
from labeler.ui.told import told

log = logging.getLogger("labeler")


class Remedy(Enum):
    """A way out that the program can go by itself, where the person agrees."""

    VIEW = "view"  # look at a project that is open elsewhere, or cannot be written
    REBUILD = "rebuild"  # make its catalogue again from the masks


class Announcer(QObject):
    """The signals of a session. The world's faults are told by ``failed``; ours by ``crashed`` too."""

    opened = Signal()
    closed = Signal()
    images_changed = Signal(object)  # set of image ids, or None for everything
    queue_changed = Signal()
    current_changed = Signal(int)  # image_id or -1
    image_loaded = Signal(int, object, object)  # image_id, image array, MaskEditor
    image_refused = Signal(int)  # it is the current one and cannot be shown
    mask_changed = Signal(object)  # Rect: dirty part of the editor's mask
    prediction_changed = Signal(int)  # the image shown has another prediction
    doubt_changed = Signal(int)  # the map of doubt of the image shown has come, or is no longer true
    status_changed = Signal(object)  # SessionStatus
    round_started = Signal()
    round_progressed = Signal(object)  # Progress
    round_ended = Signal(object)  # RoundOutcome, or a sentence
    committed = Signal(int)
    drafted = Signal(int, bool)
    message = Signal(str)
    failed = Signal(str, str)  # title, sentence with the way out
    offered = Signal(object, object)  # Remedy, folder: a way out of the failure that was just told
    crashed = Signal(object)  # an exception from another thread that is no fault of the world
    long_work = Signal(str, int, int)  # text, done, total; total 0 = unknown, -1 = ended
    thumbnail_ready = Signal(int, object)  # image_id, (h, w, 3) uint8
    tile_ready = Signal(object)  # Tile of the report
    surveyed = Signal(object)  # ScanSummary, growing until it is done
    exported = Signal(object)  # the manifest

    @contextlib.contextmanager
    def _blaming(self, title: str) -> Iterator[None]:
        """Tell of the world's faults instead of raising them; ours travel on."""
        try:
            yield
        except LabelerError as error:
            self._blame(title, error)

    @Slot(str, object)
    def _blame(self, title: str, error: Exception) -> None:
        if isinstance(error, LabelerError):
            self.failed.emit(title, told(str(error)))
            return
        log.error("%s", title, exc_info=error)
        self.failed.emit(title, self.tr("{}: {}").format(type(error).__name__, error))
        self.crashed.emit(error)

    @Slot(object)
    def _blame_engine(self, error: Exception) -> None:
        self._blame(self.tr("The engine does not start; run `labeler doctor`"), error)

    @Slot(object)
    def _blame_round(self, error: Exception) -> None:
        self._blame(self.tr("No new model"), error)

    @Slot(object)
    def _blame_source(self, error: Exception) -> None:
        self._blame(self.tr("The source of images"), error)

    @Slot(object)
    def _blame_model(self, error: Exception) -> None:
        self._blame(self.tr("The model cannot be used"), error)

    @Slot(object)
    def _blame_doubt(self, error: Exception) -> None:
        self._blame(self.tr("The map of doubt could not be made"), error)

    @Slot(bool)
    def _tell_waiting(self, waiting: bool) -> None:
        self.long_work.emit(self.tr("Starting the engine") if waiting else "", 0, 0 if waiting else -1)
