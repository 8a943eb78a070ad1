"""The only file that starts threads: the compute lane, the stream reader and the image loader.

All of them live on the main thread as objects and run elsewhere; what they find travels as queued signals that carry
frozen records or arrays nobody writes to any more. Connect only bound methods of QObjects: a plain function would be
called on the worker's thread.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QThread, Signal

from labeler import images
from labeler.errors import LabelerError
from labeler.pixels import StoredPrediction
from labeler.records import Mask

STOP_MS = 5000  # how long a thread is waited for before it is reported as stuck
_launched: set[Worker] = set()  # keeps them referenced: a running QThread that is garbage collected aborts the process


def running() -> list[Worker]:
    """The workers whose threads are alive."""
    return [worker for worker in list(_launched) if worker.isRunning()]


class Worker(QThread):
    """A thread that is asked to stop and waited for, never terminated (that hangs)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = threading.Condition()
        self._closing = False

    def launch(self) -> None:
        """Start the thread, unless it runs already or was shut down."""
        if not self.isRunning() and not self._closing:
            _launched.add(self)
            self.start()

    def ask_to_stop(self) -> None:
        """Let the thread end after the step it is in."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def shut_down(self, timeout_ms: int = STOP_MS) -> bool:
        """End the thread and wait; False if it still runs after ``timeout_ms`` (it stays referenced)."""
        self.ask_to_stop()
        ended = self.wait(timeout_ms)
        if ended:
            _launched.discard(self)
        return ended


class Priority(IntEnum):
    """What goes first on the compute lane; TRAIN and PREDICT take turns."""

    FRONT = 0  # the image in front of the person
    TRAIN = 1
    PREDICT = 2


@dataclass(frozen=True, eq=False)
class Task:
    """A generator that the lane is to run; ``start`` is called on the lane's thread, like every step."""

    name: str
    priority: Priority
    start: Callable[[], Generator[Any, None, Any]]
    task_id: int = field(default_factory=itertools.count(1).__next__)


class _Entry:
    """A task on the lane, with its generator once it has begun."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.generator: Generator[Any, None, Any] | None = None
        self.stopping = False


class Lane(Worker):
    """One thread that runs generators cooperatively, a step at a time, by priority.

    A step's value is emitted unless it is None, so that a generator can give the lane back without a message.
    """

    stepped = Signal(object, object)  # task_id, value
    completed = Signal(object, object)  # task_id, what the generator returned
    failed = Signal(object, object)  # task_id, the exception
    stopped = Signal(object)  # task_id

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: list[_Entry] = []
        self._paused: set[Priority] = set()
        self._last = Priority.PREDICT  # whose turn it was

    def submit(self, task: Task) -> None:
        """Put a task on the lane; a lane that is shutting down ignores it."""
        with self._changed:
            if self._closing:
                return
            self._entries.append(_Entry(task))
            self._changed.notify_all()
        self.launch()

    def stop(self, task_id: int) -> None:
        """Close the task's generator after the step it is in; ``stopped`` follows. Unknown ids are ignored."""
        with self._changed:
            for entry in self._entries:
                entry.stopping = entry.stopping or entry.task.task_id == task_id
            self._changed.notify_all()

    def pause(self, kind: Priority) -> None:
        """Leave the tasks of a kind where they are after the step they are in."""
        with self._changed:
            self._paused.add(kind)

    def resume(self, kind: Priority) -> None:
        """Go on with the tasks of a kind."""
        with self._changed:
            self._paused.discard(kind)
            self._changed.notify_all()

    def is_paused(self, kind: Priority) -> bool:
        """Whether tasks of a kind are held."""
        return kind in self._paused

    def drain(self, timeout_ms: int = STOP_MS) -> bool:
        """Stop every task and wait until none is left; False if a step outlasts ``timeout_ms``."""
        with self._changed:
            for entry in self._entries:
                entry.stopping = True
            self._changed.notify_all()
            if not self.isRunning():
                self._entries.clear()
            return self._changed.wait_for(lambda: not self._entries, timeout_ms / 1000)

    def run(self) -> None:
        """The thread's body."""
        while (entry := self._next()) is not None:
            self._step(entry)
        for entry in list(self._entries):
            self._close(entry)

    def _next(self) -> _Entry | None:
        with self._changed:
            while not self._closing:
                if (entry := self._choose()) is not None:
                    return entry
                self._changed.wait()
            return None

    def _choose(self) -> _Entry | None:
        """The entry whose step is next: what must stop, the front, then the kind that did not have the last turn."""
        for entry in self._entries:
            if entry.stopping:
                return entry
        ready = [entry for entry in self._entries if entry.task.priority not in self._paused]
        if not ready:
            return None
        front = [entry for entry in ready if entry.task.priority is Priority.FRONT]
        if front:
            return front[0]
        turn = [entry for entry in ready if entry.task.priority is not self._last]
        chosen = (turn or ready)[0]
        self._last = chosen.task.priority
        return chosen

    def _step(self, entry: _Entry) -> None:
        task_id = entry.task.task_id
        try:
            if entry.stopping:
                self._close(entry)
                self.stopped.emit(task_id)
                return
            if entry.generator is None:
                entry.generator = entry.task.start()
            value = next(entry.generator)
        except StopIteration as end:
            self._drop(entry)
            self.completed.emit(task_id, end.value)
        except Exception as error:  # noqa: BLE001 -- not swallowed: it is raised where the task was submitted
            self._drop(entry)
            self.failed.emit(task_id, error)
        else:
            if value is not None:
                self.stepped.emit(task_id, value)

    def _close(self, entry: _Entry) -> None:
        try:
            if entry.generator is not None:
                entry.generator.close()
        finally:
            self._drop(entry)

    def _drop(self, entry: _Entry) -> None:
        with self._changed:
            self._entries.remove(entry)
            self._changed.notify_all()


@dataclass(frozen=True)
class Milestone:
    """Something to say between two items of a stream: "everything that was there has been read"."""

    name: str
    text: str = ""


class StreamReader(Worker):
    """Drives one generator of stream items and hands them over in bounded batches.

    At most ``in_flight`` batches wait for ``acknowledge``; then the generator is not stepped, which is what holds a
    fast source back. The generator yields None now and then while nothing comes, so that it can be stopped.
    """

    found = Signal(object)  # list[StreamItem | UnreadableItem]
    reached = Signal(object)  # Milestone
    failed = Signal(object)  # the exception; the reader has ended

    def __init__(
        self,
        open_items: Callable[[], Generator[Any, None, None]],
        *,
        batch: int = 32,
        patience_s: float = 0.2,
        in_flight: int = 2,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_items = open_items
        self._batch = batch
        self._patience_s = patience_s
        self._credit = in_flight

    def acknowledge(self) -> None:
        """One batch has been dealt with: another may come."""
        with self._changed:
            self._credit += 1
            self._changed.notify_all()

    def run(self) -> None:
        """The thread's body."""
        items = self._open_items()
        try:
            for batch in self._batches(items):
                if self._closing:
                    return
                self._deliver(batch)
        except Exception as error:  # noqa: BLE001 -- not swallowed: it is raised where the reader was made
            self.failed.emit(error)
        finally:
            items.close()

    def _batches(self, items: Generator[Any, None, None]) -> Iterator[list[Any] | Milestone]:
        """Batches that are full or have waited long enough; an empty one is a chance to stop."""
        batch: list[Any] = []
        deadline = time.monotonic() + self._patience_s
        for item in items:
            if isinstance(item, Milestone):
                yield batch
                yield item
                batch = []
            elif item is not None:
                batch.append(item)
            if len(batch) >= self._batch or time.monotonic() >= deadline:
                yield batch
                batch = []
                deadline = time.monotonic() + self._patience_s
            elif self._closing:
                return
        yield batch

    def _deliver(self, batch: list[Any] | Milestone) -> None:
        if isinstance(batch, Milestone):
            self.reached.emit(batch)
            return
        if not batch:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._credit > 0 or self._closing)
            if self._closing:
                return
            self._credit -= 1
        self.found.emit(batch)


class Load(IntEnum):
    """What a decoded image is for; the lower goes first."""

    SHOW = 0
    AHEAD = 1  # the next image of the queue, before it is asked for
    THUMBNAIL = 2


@dataclass(frozen=True)
class LoadRequest:
    """One image to decode; ``sha256`` refuses a file that has changed, ``side`` is of a thumbnail.

    ``opening`` tells the requests of one opened project from those of the one before.
    """

    image_id: int
    kind: Load
    path: Path
    sha256: str | None = None
    side: int = 0
    opening: int = 0
    stored: StoredPrediction | None = None  # read with the image
    kept: images.Pyramid | None = None  # of the image: only the prediction is wanted

    def load(self) -> Picture:
        """Decode; ImageError where the image cannot be used. A lost prediction is none: who needs it looks again."""
        pyramid = self.kept or images.Pyramid.of(images.load(self.path, sha256=self.sha256))
        pixels = None
        if self.stored is not None:
            with contextlib.suppress(LabelerError):
                pixels = self.stored.read()
        return Picture(pyramid, self.stored, pixels)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is shown, and mask and probabilities of the prediction that was ``stored`` when it was decoded."""

    pyramid: images.Pyramid
    stored: StoredPrediction | None = None
    prediction: tuple[Mask, NDArray[np.uint8]] | None = None

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.pyramid.nbytes + sum(plane.nbytes for plane in self.prediction or ())


class ImageLoader(Worker):
    """Decodes on its own thread: the image to show, the one after it, thumbnails (the last asked for first)."""

    loaded = Signal(object, object)  # LoadRequest, a Picture, or of a thumbnail (h, w, 3) uint8
    failed = Signal(object, object)  # LoadRequest, the exception

    def __init__(self, *, waiting: int = 400, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting = waiting
        self._requests: OrderedDict[tuple[Load, int], LoadRequest] = OrderedDict()

    def request(self, wanted: LoadRequest) -> list[LoadRequest]:
        """Decode this; a newer SHOW or AHEAD replaces the one that waits. Returns the oldest thumbnails, given up."""
        dropped = []
        with self._changed:
            if wanted.kind is not Load.THUMBNAIL:
                for key in [key for key in self._requests if key[0] is wanted.kind]:
                    del self._requests[key]
            self._requests[wanted.kind, wanted.image_id] = wanted
            self._requests.move_to_end((wanted.kind, wanted.image_id))
            while len(self._requests) > self._waiting:
                oldest = next(key for key in self._requests if key[0] is Load.THUMBNAIL)
                dropped.append(self._requests.pop(oldest))
            self._changed.notify_all()
        self.launch()
        return dropped

    def forget(self) -> None:
        """Drop every request that waits."""
        with self._changed:
            self._requests.clear()

    def run(self) -> None:
        """The thread's body."""
        while (wanted := self._next()) is not None:
            try:
                if wanted.kind is Load.THUMBNAIL:
                    made: object = images.thumbnail(images.load(wanted.path, sha256=wanted.sha256), wanted.side)
                else:
                    made = wanted.load()
            except Exception as error:  # noqa: BLE001 -- not swallowed: it is judged on the main thread
                self.failed.emit(wanted, error)
            else:
                self.loaded.emit(wanted, made)

    def _next(self) -> LoadRequest | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._requests) or self._closing)
            if self._closing:
                return None
            first = min(kind for kind, _ in self._requests)
            key = next(key for key in reversed(self._requests) if key[0] == first)
            return self._requests.pop(key)
