"""What the status strip and the buttons are told, and changes of rows that are told together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

if TYPE_CHECKING:
    from labeler.loop import Status

TELL_MS = 60


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """Everything the status strip and the buttons need."""

    loop: Status
    stream: str  # what the source of images is doing
    round: str  # what the round is doing, "" while none runs
    saved: str
    is_training: bool
    is_paused: bool
    is_predicting: bool
    can_undo: bool
    can_redo: bool
    can_undo_threshold: bool


def saved_text(saved_at: float | None, unsaved: int) -> str:
    """When something was last written (time.monotonic()), or how many drawings the disk refused."""
    if unsaved:
        return _tr("NOT SAVED: {} drawings, only in memory").format(unsaved)
    if saved_at is None:
        return _tr("saved")
    ago = time.monotonic() - saved_at
    return _tr("saved {:.0f} s ago").format(ago) if ago < 60 else _tr("saved {:.0f} min ago").format(ago / 60)


def _tr(text: str) -> str:
    return QCoreApplication.translate("status", text)


class News(QObject):
    """Collects which images have changed and tells them together, at most every TELL_MS."""

    told = Signal(object)  # set of image ids, or None for everything

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed: set[int] | None = set()
        self._timer = QTimer(self, singleShot=True, interval=TELL_MS)
        self._timer.timeout.connect(self.tell)

    def note(self, changed: set[int] | None) -> None:
        """These images have changed, or everything."""
        self._changed = None if changed is None or self._changed is None else self._changed | changed
        if not self._timer.isActive():
            self._timer.start()

    @Slot()
    def tell(self) -> None:
        """Tell now what is waiting to be told."""
        self._timer.stop()
        changed, self._changed = self._changed, set()
        if changed is None or changed:
            self.told.emit(changed)

    def forget(self) -> None:
        """Drop what is waiting: its project is closed."""
        self._timer.stop()
        self._changed = set()
