"""What is there now, of any source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from labeler.errors import StreamError
from labeler.records import StreamItem, UnreadableItem
from labeler.stream.folder import Found, examine, listed, stamp, walk
from labeler.stream.frames import CameraFrames, Items, Known, Steps, ships_frames, video_frames
from labeler.stream.sources import Camera, Folder, ImageFile, ListFile, Ships, Source, Video

NOTHING_KNOWN: Mapping[Path, tuple[int, float]] = MappingProxyType({})


def scan(source: Source, *, known: Known = NOTHING_KNOWN, frames_folder: Path | None = None) -> Items:
    """Everything that the source has now and that is not ``known`` (path -> size and time of change).

    Bad files are items too. Films, cameras (one frame) and generated images are written to ``frames_folder``.
    StreamError where the source as a whole cannot be read, StorageError where a frame cannot be written.
    """
    if isinstance(source, Folder | ListFile | ImageFile):
        for candidate in candidates(source):
            if is_news(candidate, known):
                yield examine(candidate) if isinstance(candidate, Found) else candidate
    else:
        yield from _made(source, known, frames_folder)


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
