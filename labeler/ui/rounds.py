"""Rounds of training on the lane: when one starts, how it is paused and stopped, what becomes of it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from labeler.errors import LabelerError
from labeler.records import ROUND_CLOSED, Progress
from labeler.ui.engine import Engine
from labeler.ui.told import told
from labeler.ui.wording import phase_name
from labeler.ui.worker import Lane, Priority, Task

if TYPE_CHECKING:
    from labeler.loop import Loop
    from labeler.training import RoundResult, TrainingJob

SILENT_S = 120.0  # a round that has not moved for so long is said to hang


class Rounds(QObject):
    """At most one round at a time; everything but the training itself happens on the main thread."""

    started = Signal()
    progressed = Signal(object)  # Progress
    ended = Signal(object)  # RoundOutcome, or a sentence
    published = Signal()
    refused = Signal(object)  # the exception that kept a round from starting or ended it

    def __init__(self, lane: Lane, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._engine = engine
        self._loop: Loop | None = None
        self._job: TrainingJob | None = None
        self._task_id: int | None = None
        self._held = False  # after a stop or a failure the next round waits for a new label
        self._progress: Progress | None = None
        self._moved = 0.0  # time.monotonic() of the last step
        self._settling = QTimer(self, singleShot=True)
        self._settling.timeout.connect(self._start_if_due)
        lane.stepped.connect(self._step)
        lane.completed.connect(self._finish)
        lane.stopped.connect(self._end)
        lane.failed.connect(self._fail)

    @property
    def is_running(self) -> bool:
        """Whether a round is under way, paused or not."""
        return self._job is not None

    @property
    def is_paused(self) -> bool:
        """Whether training is held."""
        return self._lane.is_paused(Priority.TRAIN)

    def text(self) -> str:
        """What the round is doing, "" where none runs."""
        if self._job is None:
            return ""
        version, progress = self._job.version, self._progress
        if self.is_paused:
            return self.tr("Round for v{} is paused").format(version)
        if time.monotonic() - self._moved > SILENT_S:
            return self.tr("Round for v{} has not moved for {:.0f} s: stop it").format(version, self._silent_s())
        if progress is None:
            return self.tr("Round for v{} starts").format(version)
        if not progress.total:
            return f"v{version}: {phase_name(progress.phase)}"
        return f"v{version}: {phase_name(progress.phase)} {progress.done}/{progress.total}"

    def _silent_s(self) -> float:
        return time.monotonic() - self._moved

    def open(self, loop: Loop) -> None:
        """Run the rounds of this project."""
        self._loop = loop
        self._held = False
        self.consider()

    def close(self) -> None:
        """Give up the round that runs; the lane must be drained by the caller before the project is closed."""
        self._settling.stop()
        if self._job is not None and self._loop is not None and self._task_id is not None:
            self._lane.stop(self._task_id)
            self._note_failure(self._clear(), ROUND_CLOSED)
            self.ended.emit(self.tr("The round was given up because the project was closed."))
        self._lane.resume(Priority.TRAIN)
        self._loop = None

    def note_label(self) -> None:
        """A label was made: a round may start once the person pauses for ``debounce_s``."""
        self._held = False
        self._settling.stop()
        self.consider()

    def consider(self) -> None:
        """Start a round by itself if one is due, ``debounce_s`` after the last label or the first call since."""
        if self._loop is None or self.is_running or self._settling.isActive():
            return
        settings = self._loop.project.settings
        if settings.retrain_automatically and not self._held:
            self._settling.start(round(settings.debounce_s * 1000))

    def _start_if_due(self) -> None:
        if self._loop is None or self.is_running or self._held:
            return
        if self._loop.project.settings.retrain_automatically and self._loop.round_due():
            self.start()

    def start(self) -> None:
        """Start a round now; ``refused`` says why it cannot be."""
        if self._loop is None or self.is_running:
            return
        self._settling.stop()
        try:
            job = self._loop.freeze_round()
        except LabelerError as error:
            self._held = True
            self.refused.emit(error)
            return
        threads = self._loop.project.settings.threads
        task = Task("train", Priority.TRAIN, lambda: self._engine.train(job, threads=threads))
        self._job, self._task_id, self._moved = job, task.task_id, time.monotonic()
        self._lane.resume(Priority.TRAIN)
        self._lane.submit(task)
        self.started.emit()

    def pause(self, paused: bool) -> None:
        """Hold the round after the step it is in, or let it go on."""
        if paused and self.is_running:
            self._lane.pause(Priority.TRAIN)
        else:
            self._lane.resume(Priority.TRAIN)
        self._moved = time.monotonic()

    def stop(self) -> None:
        """Give the round up after the step it is in; the model in use stays."""
        if self._task_id is not None:
            self._lane.stop(self._task_id)

    def _clear(self) -> TrainingJob:
        job, self._job, self._task_id, self._progress = self._job, None, None, None
        assert job is not None
        return job

    @Slot(object, object)
    def _step(self, task_id: int, progress: Progress) -> None:
        if task_id == self._task_id:
            self._progress = progress
            self._moved = time.monotonic()
            self.progressed.emit(progress)

    @Slot(object, object)
    def _finish(self, task_id: int, result: RoundResult) -> None:
        if task_id != self._task_id or self._loop is None:
            return
        job = self._clear()
        try:
            outcome = self._loop.finish_round(job, result)
        except LabelerError as error:
            self._give_up(job, error)
            return
        self.ended.emit(outcome)
        if outcome.published:
            self.published.emit()
        self.consider()  # labels made meanwhile may be enough for the next one

    @Slot(object)
    def _end(self, task_id: int) -> None:
        if task_id != self._task_id or self._loop is None:
            return
        self._held = True
        self._note_failure(self._clear(), "stopped by a person")
        self.ended.emit(self.tr("The round was stopped; the model in use stays. Your labels are kept."))

    @Slot(object, object)
    def _fail(self, task_id: int, error: Exception) -> None:
        if task_id == self._task_id and self._loop is not None:
            self._give_up(self._clear(), error)

    def _give_up(self, job: TrainingJob, error: Exception) -> None:
        self._held = True
        why = str(error) or type(error).__name__
        self._note_failure(job, why)
        self.ended.emit(self.tr("The round failed: {}. The model in use stays.").format(told(why).rstrip(".")))
        self.refused.emit(error)

    def _note_failure(self, job: TrainingJob, why: str) -> None:
        # A row about a failure is worth no second failure, on a full disk for instance.
        with contextlib.suppress(LabelerError):
            if self._loop is not None:
                self._loop.fail_round(job, why)
