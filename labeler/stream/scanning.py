"""What is there now, of any source."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from labeler.errors import StreamError
from labeler.records import StreamItem, UnreadableItem
from labeler.stream.folder import Found, examine, listed, stamp, walk
from labeler.stream.frames import CameraFrames, Items, Known, Steps, ships_frames, video_frames
from labeler.stream.settling import Settling, is_fresh
from labeler.stream.sources import Camera, Folder, ImageFile, ListFile, Ships, Source, Video

_SETTLE_S = 0.3  # a fresh file that does not decode must be unchanged for so long to be called unreadable
_PATIENCE_S = 3.0  # for files that go on changing

NOTHING_KNOWN: Mapping[Path, tuple[int, float]] = MappingProxyType({})


def scan(source: Source, *, known: Known = NOTHING_KNOWN, frames_folder: Path | None = None) -> Items:
    """Everything that the source has now and that is not ``known`` (path -> size and time of change).

    Bad files are items too; a file that is still being written is left for the next time. Films, cameras (one frame)
    and generated images are written to ``frames_folder``.
    StreamError where the source as a whole cannot be read, StorageError where a frame cannot be written.
    """
    if isinstance(source, Folder | ListFile | ImageFile):
        yield from _files(source, known)
    else:
        yield from _made(source, known, frames_folder)


def _files(source: Folder | ListFile | ImageFile, known: Known) -> Items:
    """Files as they are; those that seem to be in the hands of a writer come last, when they have settled."""
    settling = Settling(_SETTLE_S, patience=1)
    for candidate in candidates(source):
        if not is_news(candidate, known):
            continue
        if isinstance(candidate, UnreadableItem):
            yield candidate
            continue
        before = stamp(candidate.path)
        item = examine(candidate)
        after = stamp(candidate.path)
        if before == after and (isinstance(item, StreamItem) or not is_fresh(after)):
            yield item
        else:
            settling.put(candidate, after, time.monotonic())
    deadline = time.monotonic() + _PATIENCE_S
    while settling and (clock := time.monotonic()) < deadline:
        time.sleep(max(0.0, min(settling.due_in(clock), deadline - clock)))
        clock = time.monotonic()
        for path in settling.settled(clock):
            if (result := settling.examine(path, clock)) is not None:
                yield result[0]
    # What still grows is not there yet: the next scan finds it, or a watcher.


def _made(source: Video | Camera | Ships, known: Known, frames_folder: Path | None) -> Items:
    for item in made_frames(source, known, frames_folder):
        if isinstance(item, StreamItem) or (item is not None and is_news(item, known)):
            yield item


def made_frames(source: Video | Camera | Ships, known: Known, frames_folder: Path | None) -> Steps:
    """Frames of a source without files of its own, of a camera one; None in between."""
    folder = needed(frames_folder)
    if isinstance(source, Video):
        yield from video_frames(source, folder, known)
    elif isinstance(source, Ships):
        yield from ships_frames(source, folder, known)
    else:
        yield from _snapshot(source, folder)


def _snapshot(source: Camera, folder: Path) -> Items:
    camera = CameraFrames(source, folder)
    try:
        item = camera.take()
        if item is None:
            raise camera.silence()
        yield item
    finally:
        camera.close()


def needed(frames_folder: Path | None) -> Path:
    """The folder for frames; StreamError if there is none."""
    if frames_folder is None:
        raise StreamError("films, cameras and generated images need a project to keep their frames; make one first")
    return frames_folder


def candidates(source: Folder | ListFile | ImageFile) -> Iterator[Found | UnreadableItem]:
    """The files of a source, none of them opened yet."""
    if isinstance(source, Folder):
        return walk(source.root)
    if isinstance(source, ListFile):
        return listed(source.path)
    return islice((Found(source.path),), 1)


def is_news(candidate: Found | UnreadableItem | StreamItem, known: Known) -> bool:
    """Whether a file has not been seen as it is now. A file that was seen and is gone is no news of the stream."""
    if candidate.path not in known:
        return True
    now = stamp(candidate.path)
    return now[0] >= 0 and known[candidate.path] != now
