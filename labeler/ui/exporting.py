"""Exports run on a thread of their own, over a copy of the catalogue: the window's connection stays on its thread."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from labeler.project import Project
from labeler.records import Progress
from labeler.ui.wording import seconds_left
from labeler.ui.worker import Lane, Priority, Task


def export_of(folder: Path, out: Path, *, format: str, include_accepted: bool) -> Generator[Progress, None, object]:
    """Export a project as it is at this moment, from any thread; the manifest."""
    from labeler.formats import export  # its libraries are needed only now

    yield Progress("reading", 0, 0)
    with Project.view(folder) as project:
        return (yield from export(project, out, format=format, include_accepted=include_accepted))


class Exporting(QObject):
    """Drives at most one export."""

    progressed = Signal(object, float)  # Progress, seconds it will probably take yet (0: nobody knows)
    ended = Signal(object)  # the manifest
    failed = Signal(object)  # the exception

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane(self)
        self._task_id: int | None = None
        self._begun = 0.0
        self._lane.stepped.connect(self._step)
        self._lane.completed.connect(self._end)
        self._lane.failed.connect(self._fail)

    @property
    def is_running(self) -> bool:
        """Whether an export is under way."""
        return self._task_id is not None

    def start(self, folder: Path, out: Path, *, format: str, include_accepted: bool) -> None:
        """Export this project; an export that runs is stopped."""
        self.stop()
        task = Task(
            "export",
            Priority.PREDICT,
            lambda: export_of(folder, out, format=format, include_accepted=include_accepted),
        )
        self._task_id, self._begun = task.task_id, time.monotonic()
        self._lane.submit(task)

    def stop(self) -> None:
        """Give the export up; it removes what it has staged, and has done so when this returns."""
        if self._task_id is not None:
            self._task_id = None
            self._lane.drain()

    def shut_down(self) -> bool:
        """End the thread."""
        return self._lane.shut_down()

    @Slot(object, object)
    def _step(self, task_id: int, progress: Progress) -> None:
        if task_id == self._task_id:
            self.progressed.emit(progress, seconds_left(progress, time.monotonic() - self._begun))

    @Slot(object, object)
    def _end(self, task_id: int, manifest: object) -> None:
        if task_id == self._task_id:
            self._task_id = None
            self.ended.emit(manifest)

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if task_id == self._task_id:
            self._task_id = None
            self.failed.emit(error)
