"""Everything that may happen without a project: the engine warms up, a folder is looked through."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from labeler.ui.engine import Engine
from labeler.ui.scan import look_into
from labeler.ui.worker import Lane, Priority, Task


class Starting(QObject):
    """Holds back what needs the engine until the lane has imported it; the window is alive meanwhile."""

    waiting = Signal(bool)  # something was asked for and waits; it waits no longer
    failed = Signal(object)  # the exception: the engine cannot be imported

    def __init__(self, lane: Lane, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._engine = engine
        self._task: Task | None = None
        self._is_ready = False
        self._act: Callable[[], None] | None = None
        lane.completed.connect(self._succeed)
        lane.failed.connect(self._fail)

    def warm_up(self) -> None:
        """Import what computes, on the lane."""
        if self._task is None:
            self._task = Task("warm up", Priority.FRONT, self._engine.warm_up)
            self._lane.submit(self._task)

    def when_ready(self, act: Callable[[], None]) -> None:
        """Do this as soon as the engine is there; a newer wish replaces one that waits."""
        if self._is_ready:
            act()
            return
        self._act = act
        self.waiting.emit(True)
        self.warm_up()

    def forget(self) -> None:
        """Drop the wish that waits."""
        if self._act is not None:
            self._act = None
            self.waiting.emit(False)

    def _is_mine(self, task_id: int) -> bool:
        return self._task is not None and self._task.task_id == task_id

    @Slot(object, object)
    def _succeed(self, task_id: int, _result: object) -> None:
        if self._is_mine(task_id):
            self._is_ready = True
            act = self._act
            self.forget()
            if act is not None:
                act()

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if self._is_mine(task_id):
            self._task = None
            self.forget()
            self.failed.emit(error)


class Survey(QObject):
    """Looks through one folder at a time on a lane of its own, reading only."""

    surveyed = Signal(object)  # ScanSummary, growing until it is done
    failed = Signal(object)  # the exception

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane(self)
        self._task_id: int | None = None
        self._lane.stepped.connect(self._pass)
        self._lane.failed.connect(self._fail)

    def start(self, folder: Path) -> None:
        """Look through this folder; one that is being looked through is left."""
        self.stop()
        task = Task("survey", Priority.FRONT, lambda: look_into(folder))
        self._task_id = task.task_id
        self._lane.submit(task)

    def stop(self) -> None:
        """Leave the folder."""
        if self._task_id is not None:
            self._lane.stop(self._task_id)
        self._task_id = None

    def shut_down(self) -> bool:
        """End the thread."""
        return self._lane.shut_down()

    @Slot(object, object)
    def _pass(self, task_id: int, summary: object) -> None:
        if task_id == self._task_id:
            self.surveyed.emit(summary)

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if task_id == self._task_id:
            self.failed.emit(error)


class Mending(QObject):
    """Makes a damaged catalogue again, on the lane: it reads every mask."""

    mended = Signal(object, object)  # folder, Rebuilt
    failed = Signal(object)  # the exception

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._folder: Path | None = None
        self._task_id: int | None = None
        lane.completed.connect(self._succeed)
        lane.failed.connect(self._fail)

    def start(self, folder: Path) -> None:
        """Rebuild the catalogue of the project in this folder."""
        task = Task("rebuild", Priority.FRONT, lambda: _rebuilding(folder))
        self._folder, self._task_id = folder, task.task_id
        self._lane.submit(task)

    @Slot(object, object)
    def _succeed(self, task_id: int, made: object) -> None:
        if task_id == self._task_id:
            self._task_id = None
            self.mended.emit(self._folder, made)

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if task_id == self._task_id:
            self._task_id = None
            self.failed.emit(error)


def _rebuilding(folder: Path) -> Generator[None, None, object]:
    from labeler.rebuild import rebuild

    yield None  # begun on the lane's thread
    return rebuild(folder)
