"""The stream side of an open project: a reader thread finds images, the main thread writes them down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from labeler.errors import LabelerError, StreamError
from labeler.project import Project
from labeler.records import StreamItem, UnreadableItem
from labeler.stream import Ships, Source, Video, Watcher, parse_source, scan
from labeler.stream.folder import stamp
from labeler.ui.told import told
from labeler.ui.worker import Milestone, StreamReader

POLL_S = 0.2
RETRY_MS = 5000  # after a disk that refused


def stream_items(
    sources: Sequence[str], *, read_known: Callable[[], Mapping[Path, tuple[int, float]]], frames_folder: Path
) -> Generator[StreamItem | UnreadableItem | Milestone | None, None, None]:
    """Everything that is there, then what appears; None while nothing does. A source that fails is a milestone."""
    seen = dict(read_known())  # here, on the reader's thread: it is long where there are many images
    watched: list[Source] = []
    for text in sources:
        try:
            source = parse_source(text)
            for item in scan(source, known=seen, frames_folder=frames_folder):
                seen[item.path] = stamp(item.path)
                yield item
            if not isinstance(source, Video | Ships):  # these have an end, and it has been reached
                watched.append(source)
        except StreamError as error:
            yield Milestone("failed", str(error))
    yield Milestone("scanned", "watched" if watched else "")
    with contextlib.ExitStack() as opened:
        watchers: list[Watcher] = []
        for source in watched:
            try:
                watchers.append(opened.enter_context(Watcher(source, known=seen, frames_folder=frames_folder)))
            except StreamError as error:
                yield Milestone("failed", str(error))
        yield from _watch(watchers)


def _watch(watchers: list[Watcher]) -> Generator[StreamItem | UnreadableItem | Milestone | None, None, None]:
    told: dict[int, str] = {}
    while watchers:
        for number, watcher in enumerate(watchers):
            yield from watcher.poll(POLL_S / len(watchers))
            if watcher.notice != told.get(number, ""):
                told[number] = watcher.notice
                yield Milestone("notice", watcher.notice)
            yield None


class Intake(QObject):
    """Reads the sources of one project at a time."""

    added = Signal(object)  # set of the new images' ids
    scanned = Signal()
    said = Signal()  # the text has changed
    failed = Signal(object)  # the exception
    noticed = Signal(str)  # what a person should know about a source

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project: Project | None = None
        self._reader: StreamReader | None = None
        self._refused: list[Any] = []  # batches that the disk would not take
        self._retry = QTimer(self, singleShot=True, interval=RETRY_MS)
        self._retry.timeout.connect(self._try_again)
        self.text = ""
        self._found = 0

    def open(self, project: Project) -> None:
        """Read the sources of this project until ``close``."""
        self.close()
        self._project = project
        sources, folder, frames = project.sources, project.folder, project.frames_folder
        if not sources:
            self._say(self.tr("no source of images"))
            return
        self._say(self.tr("reading"))
        reader = StreamReader(
            lambda: stream_items(sources, read_known=lambda: Project.known_paths_in(folder), frames_folder=frames),
            parent=self,
        )
        reader.found.connect(self._take)
        reader.reached.connect(self._pass)
        reader.failed.connect(self._fail)
        self._reader = reader
        reader.launch()

    def close(self) -> bool:
        """Stop reading and wait for the thread; False if it does not end."""
        self._retry.stop()
        self._refused.clear()
        self._project = None
        self._found = 0
        self.text = ""
        reader, self._reader = self._reader, None
        if reader is None:
            return True
        ended = reader.shut_down()
        if ended:
            reader.deleteLater()
        return ended

    def _say(self, text: str) -> None:
        self.text = text
        self.said.emit()

    def _is_current(self) -> bool:
        return self._project is not None and self.sender() is self._reader

    @Slot(object)
    def _take(self, batch: list[StreamItem | UnreadableItem]) -> None:
        if self._is_current():
            self._write(batch)

    def _write(self, batch: list[StreamItem | UnreadableItem]) -> None:
        assert self._project is not None
        assert self._reader is not None
        try:
            added = self._project.add(batch)
        except LabelerError as error:
            # Not acknowledged: the stream waits until the disk takes it.
            if not self._refused:
                self.failed.emit(error)
            self._refused.append(batch)
            self._retry.start()
            return
        self._reader.acknowledge()
        self._found += len(added)
        if self.text.startswith(self.tr("reading")):
            self._say(self.tr("reading · {:,} new").format(self._found))
        if added:
            self.added.emit(set(added))

    @Slot()
    def _try_again(self) -> None:
        batches, self._refused = self._refused, []
        for batch in batches:
            if self._project is not None:
                self._write(batch)

    @Slot(object)
    def _pass(self, milestone: Milestone) -> None:
        if not self._is_current():
            return
        if milestone.name == "failed":
            self.failed.emit(StreamError(milestone.text))
        elif milestone.name == "notice":
            self.noticed.emit(told(milestone.text))
        else:
            self._say(self.tr("watching") if milestone.text else "")
            self.scanned.emit()

    @Slot(object)
    def _fail(self, error: Exception) -> None:
        if self._is_current():
            self._say(self.tr("stopped"))
            self.failed.emit(error)
