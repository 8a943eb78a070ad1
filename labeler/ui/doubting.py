"""The map of doubt of the image in front of the person: where the turned views of it disagree, made on the lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from labeler.records import Image
from labeler.ui.engine import Engine
from labeler.ui.worker import Lane, Priority, Task

if TYPE_CHECKING:
    from labeler.loop import Loop


class Doubting(QObject):
    """Asks for a map only while one is wanted: it costs as many forward passes as there are views."""

    changed = Signal(int)  # image_id: its map has come, or is no longer true
    failed = Signal(object)  # the exception

    def __init__(self, lane: Lane, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._engine = engine
        self._loop: Loop | None = None
        self._wanted = False
        self._image_id = -1
        self._image: Image | None = None
        self._task: int | None = None
        self.heat: NDArray[np.uint8] | None = None  # (H, W), of the image and the model in use
        lane.completed.connect(self._take)
        lane.failed.connect(self._fail)

    def open(self, loop: Loop) -> None:
        """Work for this project."""
        self.close()
        self._loop = loop

    def close(self) -> None:
        """Forget the project; whether a map is wanted stays."""
        self.look_away()
        self._loop = None

    def want(self, wanted: bool) -> None:
        """Make maps from now on, or no more; one that is there stays for its image."""
        self._wanted = wanted
        if not wanted:
            self._stop()
        elif self.heat is None and self._task is None:
            self._ask()

    def look_at(self, image_id: int, image: Image) -> None:
        """This image (H, W) or (H, W, 3) is in front of the person."""
        self.look_away()
        self._image_id, self._image = image_id, image
        self._ask()

    @Slot()
    def look_away(self) -> None:
        """No image is in front of the person."""
        self._stop()
        self._image_id, self._image, self.heat = -1, None, None

    def start_over(self) -> None:
        """Another model is in use: what the old one doubted says nothing about it."""
        self._stop()
        self.heat = None
        if self._image is not None:
            self.changed.emit(self._image_id)
        self._ask()

    def _stop(self) -> None:
        if self._task is not None:
            self._lane.stop(self._task)
        self._task = None

    def _ask(self) -> None:
        if self._loop is None or self._image is None or not self._wanted:
            return
        job, image, threads = self._loop.bare_job(), self._image, self._loop.project.settings.threads
        if job is None:
            return
        task = Task("doubt", Priority.FRONT, lambda: self._engine.heat(job, image, threads=threads))
        self._task = task.task_id
        self._lane.submit(task)

    @Slot(object, object)
    def _take(self, task_id: int, heat: NDArray[np.uint8]) -> None:
        if task_id == self._task:
            self._task, self.heat = None, heat
            self.changed.emit(self._image_id)

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if task_id == self._task:
            self._task = None
            self.failed.emit(error)
