"""Exports step on the main thread, a few milliseconds at a time: the catalogue belongs to this thread."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from labeler.errors import LabelerError
from labeler.records import Progress

SLICE_S = 0.008  # of a frame; the rest is left to the canvas


class Exporting(QObject):
    """Drives at most one export between the events of the window."""

    progressed = Signal(object)  # Progress
    ended = Signal(object)  # the manifest
    failed = Signal(object)  # the exception

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps: Generator[Progress, None, Any] | None = None
        self._timer = QTimer(self, interval=1)
        self._timer.timeout.connect(self._go_on)

    @property
    def is_running(self) -> bool:
        """Whether an export is under way."""
        return self._steps is not None

    def start(self, steps: Generator[Progress, None, Any]) -> None:
        """Run this export; one that runs is stopped."""
        self.stop()
        self._steps = steps
        self._timer.start()

    def stop(self) -> None:
        """Give the export up; it removes what it has staged."""
        self._timer.stop()
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    @Slot()
    def _go_on(self) -> None:
        until = time.monotonic() + SLICE_S
        progress = None
        try:
            while self._steps is not None and time.monotonic() < until:
                progress = next(self._steps)
        except StopIteration as end:
            self._clear()
            self.ended.emit(end.value)
        except LabelerError as error:
            self._clear()
            self.failed.emit(error)
        else:
            if progress is not None:
                self.progressed.emit(progress)

    def _clear(self) -> None:
        self._timer.stop()
        self._steps = None
