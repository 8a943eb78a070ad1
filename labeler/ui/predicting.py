"""Keeps the lane busy with what waits for a prediction; the image in front of the person goes first."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from labeler.errors import CheckpointError, LabelerError
from labeler.records import PredictionRecord, VersionStatus
from labeler.ui.engine import Engine
from labeler.ui.worker import Lane, Priority, Task

if TYPE_CHECKING:
    from labeler.inference import FailedImage, Look, LooksJob, PredictionJob
    from labeler.loop import Loop

JOB_IMAGES = 64


class Predicting(QObject):
    """Submits prediction jobs of one project, records their answers, and asks for the next ones."""

    predicted = Signal(object)  # set of image ids whose rows have changed
    caught_up = Signal()  # nothing is left to predict or look at
    failed = Signal(object)  # the exception; nothing is predicted until there is another champion
    fell_back = Signal(int)  # the champion could not be loaded: this older version is in use again

    def __init__(self, lane: Lane, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._engine = engine
        self._loop: Loop | None = None
        self._jobs: dict[int, PredictionJob | LooksJob] = {}  # by task id
        self._pool_task: int | None = None
        self._front_task: int | None = None
        self._refused: set[int] = set()  # model versions that cannot be used
        self._tried: tuple[object, ...] = ()
        lane.stepped.connect(self._record)
        lane.completed.connect(self._go_on)
        lane.stopped.connect(self._end)
        lane.failed.connect(self._fail)

    @property
    def is_running(self) -> bool:
        """Whether anything is being predicted."""
        return bool(self._jobs)

    def open(self, loop: Loop) -> None:
        """Predict for this project."""
        self.close()
        self._loop = loop
        self.pump()

    def close(self) -> None:
        """Forget the project; the lane must be drained by the caller before the project is closed."""
        for task_id in self._jobs:
            self._lane.stop(task_id)
        self._jobs.clear()
        self._loop = None
        self._pool_task = self._front_task = None
        self._refused.clear()
        self._tried = ()

    def pump(self) -> None:
        """See to it that what waits is being predicted; call it when images have come or come back."""
        self._tried = ()
        self._continue()

    def _continue(self) -> None:
        if self._loop is None or self._pool_task is not None:
            return
        job = self._loop.prediction_job(limit=JOB_IMAGES) or self._loop.looks_job(limit=JOB_IMAGES)
        if job is None:
            self.caught_up.emit()
        if job is None or job.version in self._refused:
            return
        tried = (job.version, tuple(item.image_id for item in job.items))
        if tried == self._tried:
            return  # the same job again would change nothing: it has been answered, and no row has moved
        self._tried = tried
        self._pool_task = self._submit(job, Priority.PREDICT)

    def predict_front(self, image_id: int) -> None:
        """Predict the image in front of the person before everything else, unless the champion has done so."""
        if self._loop is None:
            return
        job = self._loop.prediction_job(limit=1, first=image_id)
        if job is None or job.version in self._refused or job.items[0].image_id != image_id:
            return
        if self._front_task is not None:
            if self._jobs[self._front_task].items == job.items and self._jobs[self._front_task].version == job.version:
                return
            self._lane.stop(self._front_task)
        self._front_task = self._submit(job, Priority.FRONT)

    def start_over(self) -> None:
        """Another model is the champion: what the old one is still at is of no use."""
        for task_id in list(self._jobs):
            self._lane.stop(task_id)
            self._forget(task_id)
        self.pump()

    def _submit(self, job: PredictionJob | LooksJob, priority: Priority) -> int:
        assert self._loop is not None
        threads = self._loop.project.settings.threads
        task = Task("predict", priority, lambda: self._answers(job, threads))
        self._jobs[task.task_id] = job
        self._lane.submit(task)
        return task.task_id

    def _answers(self, job: PredictionJob | LooksJob, threads: int) -> Generator[Sequence[object], None, None]:
        from labeler.inference import LooksJob  # torch: loaded long since where there is a loop

        return self._engine.look(job) if isinstance(job, LooksJob) else self._engine.predict(job, threads=threads)

    @Slot(object, object)
    def _record(self, task_id: int, results: list[PredictionRecord | Look | FailedImage]) -> None:
        if task_id in self._jobs and self._loop is not None:
            self._loop.record(results)
            self.predicted.emit({result.image_id for result in results})

    def _forget(self, task_id: int) -> bool:
        self._pool_task = None if task_id == self._pool_task else self._pool_task
        self._front_task = None if task_id == self._front_task else self._front_task
        return self._jobs.pop(task_id, None) is not None

    @Slot(object, object)
    def _go_on(self, task_id: int, _result: object) -> None:
        if self._forget(task_id):
            self._continue()

    @Slot(object)
    def _end(self, task_id: int) -> None:
        if self._forget(task_id):
            self._continue()

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        job = self._jobs.get(task_id)
        if job is not None:
            self._refused.add(job.version)
            self._forget(task_id)
            self.failed.emit(error)
            if isinstance(error, CheckpointError):
                self._fall_back()

    def _fall_back(self) -> None:
        """Go back to the newest version that was in use and is sound."""
        assert self._loop is not None
        champion = self._loop.project.champion()
        if champion is None or champion.version not in self._refused:
            return
        for older in reversed(self._loop.project.versions()):
            if older.status is VersionStatus.RETIRED and older.version not in self._refused:
                with contextlib.suppress(LabelerError, OSError):
                    self._loop.rollback(older.version)
                    self.fell_back.emit(older.version)
                    return
