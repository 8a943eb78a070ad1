"""Sources that are watched: what is there, and what comes while somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from labeler.errors import StreamError
from labeler.images import shown
from labeler.records import StreamItem, UnreadableItem
from labeler.stream.folder import Found, is_candidate, is_reached, stamp
from labeler.stream.frames import CameraFrames, Capture, Known, open_camera
from labeler.stream.news import FolderNews
from labeler.stream.scanning import NOTHING_KNOWN, candidates, is_news, made_frames, needed
from labeler.stream.settling import Settling, is_fresh
from labeler.stream.sources import Camera, Folder, ImageFile, ListFile, Ships, Source, Video

Item = StreamItem | UnreadableItem

_SLICE_S = 0.25  # a poll that has found something returns after this time, that it can be shown
_LOOK_S = 30.0  # between two looks at a folder whose news the system reports, for what it did not
_POLL_S = 1.0  # between two looks where it reports nothing
_LOOK_SHARE = 20  # times the duration of a look that must lie between two of them
_STEP = 1000  # names between two looks at the clock


class Feed(Protocol):
    """What a watcher needs of a kind of source."""

    @property
    def notice(self) -> str:
        """See ``Watcher``."""

    @property
    def finished(self) -> bool:
        """See ``Watcher``."""

    @property
    def idle(self) -> bool:
        """See ``Watcher``."""

    def poll(self, timeout: float, most: int) -> list[Item]:
        """At most ``most`` items, after ``timeout`` seconds at the latest none."""

    def close(self) -> None:
        """Let everything go."""


class Watcher:
    """A source that is asked for news, again and again; it decodes nothing while nobody asks.

    Nothing piles up where the caller is slow: at most ``capacity`` files are taken up, the rest stays on disk.
    """

    def __init__(
        self,
        source: Source,
        *,
        known: Known = NOTHING_KNOWN,
        settle_s: float = 1.0,
        capacity: int = 256,
        frames_folder: Path | None = None,
        opener: Callable[[int], Capture] = open_camera,
    ) -> None:
        """``known`` as in ``scan``; StreamError where a camera does not answer. Else ``notice`` tells what is wrong."""
        self._capacity = capacity
        self._feed: Feed
        if isinstance(source, Camera):
            self._feed = CameraFeed(CameraFrames(source, needed(frames_folder), opener=opener))
        elif isinstance(source, Video | Ships):
            self._feed = FrameFeed(source, known, needed(frames_folder))
        else:
            self._feed = FileFeed(source, known, settle_s=settle_s, capacity=capacity)

    @property
    def notice(self) -> str:
        """What a person should know about the source as a whole now; "" if all is well."""
        return self._feed.notice

    @property
    def finished(self) -> bool:
        """Whether nothing more can come (the end of a film)."""
        return self._feed.finished

    @property
    def idle(self) -> bool:
        """Whether all that is there has been handed out."""
        return self._feed.idle

    def poll(self, timeout: float) -> list[Item]:
        """What is new, at most ``capacity`` items; [] if nothing is within ``timeout`` seconds."""
        return self._feed.poll(timeout, self._capacity)

    def close(self) -> None:
        """Stop watching."""
        self._feed.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FileFeed:
    """Files of a folder or list, each once it has stopped growing."""

    finished = False

    def __init__(self, source: Folder | ListFile | ImageFile, known: Known, *, settle_s: float, capacity: int) -> None:
        self._source = source
        self._seen = dict(known)
        self._settling = Settling(settle_s)
        self._capacity = capacity
        self._ready: list[Item] = []
        self._trouble = ""
        self._look_again = 0.0  # monotonic
        self._look_started = 0.0
        self._news: FolderNews | None = None
        self._unwatched = ""
        self._checking = False  # this look is one that should find nothing that was not reported
        self._watch()
        self._look: Iterator[Found | UnreadableItem] | None = self._begin_look()

    @property
    def notice(self) -> str:
        """The source is gone, or the system does not report news."""
        return self._trouble or self._unwatched

    @property
    def idle(self) -> bool:
        """Whether all that is there has been handed out."""
        return self._look is None and not self._settling and not self._ready

    def _watch(self) -> None:
        """Ask the system for news of the folder, or say that there will be none."""
        if self._news is not None:
            self._news.close()
        self._news, self._unwatched = None, ""
        if isinstance(self._source, Folder):
            try:
                self._news = FolderNews(self._source.root)
            except (OSError, RuntimeError) as error:
                self._say_unwatched(getattr(error, "strerror", None) or str(error))

    def _say_unwatched(self, why: str) -> None:
        assert isinstance(self._source, Folder)
        self._unwatched = (
            f"{shown(self._source.root)}: the system does not report all changes ({why}), so it is looked at from time "
            "to time; on Linux raise fs.inotify.max_user_watches, or open fewer folders"
        )

    def _begin_look(self) -> Iterator[Found | UnreadableItem]:
        self._look_started = time.monotonic()
        self._checking = self._news is not None and self._look_again > 0
        return iter(candidates(self._source))

    def poll(self, timeout: float, most: int) -> list[Item]:
        """See ``Watcher.poll``."""
        deadline = time.monotonic() + timeout
        while True:
            self._gather()
            items = self._release(most, deadline)
            now = time.monotonic()
            if items or now >= deadline:
                return items
            if self._look is None or len(self._settling) >= self._capacity:
                self._rest(min(deadline, now + self._settling.due_in(now), self._look_again) - now)

    def _rest(self, seconds: float) -> None:
        if self._news is not None and len(self._settling) < self._capacity:
            self._news.wait(max(0.0, seconds))
        else:
            time.sleep(max(0.0, seconds))

    def _gather(self) -> None:
        """Take files up, as long as there is room for them."""
        room = self._capacity - len(self._settling)
        if self._news is not None and room > 0:
            for path in self._news.take(room):
                self._hear_of(path)
            if self._news.take_unnamed():
                self._look_again = 0.0
        if self._look is None and time.monotonic() >= self._look_again:
            self._look = self._begin_look()
        self._go_on_looking()

    def _hear_of(self, path: Path) -> None:
        assert isinstance(self._source, Folder)
        if path.is_symlink():
            self._look_again = 0.0  # what a link is worth is decided in one place
        elif is_candidate(path.name) and is_reached(path, self._source.root):
            self._take_up(Found(path))

    def _go_on_looking(self) -> None:
        for _ in range(_STEP):
            if self._look is None or len(self._settling) + len(self._ready) >= self._capacity:
                return
            try:
                candidate = next(self._look, None)
            except StreamError as error:
                self._lose(str(error))
                return
            if candidate is None:
                self._end_look()
            elif isinstance(candidate, Found):
                self._check_news(candidate.path)
                self._take_up(candidate)
            elif is_news(candidate, self._seen):
                self._seen[candidate.path] = stamp(candidate.path)
                self._ready.append(candidate)

    def _check_news(self, path: Path) -> None:
        """Stop relying on the system where it should have reported a file: network drives do not, threads die."""
        if not self._checking or path in self._settling:
            return
        now = stamp(path)
        if self._seen.get(path) != now and not is_fresh(now) and self._news is not None:
            self._news.close()
            self._news = None
            self._say_unwatched("it has left one out")

    def _lose(self, why: str) -> None:
        """The source is gone; it may come back."""
        self._trouble = f"{why}; it is tried again"
        self._look, self._look_again = None, time.monotonic() + _POLL_S

    def _end_look(self) -> None:
        now = time.monotonic()
        if self._trouble:
            # What was watched is gone with the old folder, even if the new one has the same name.
            self._trouble = ""
            self._watch()
        pause = _POLL_S if self._news is None else _LOOK_S
        self._look, self._look_again = None, now + max(pause, _LOOK_SHARE * (now - self._look_started))

    def _take_up(self, found: Found) -> None:
        now = stamp(found.path)
        seen = self._seen.get(found.path)
        if seen == now or (now[0] < 0 and (seen is not None or isinstance(self._source, Folder))):
            return
        self._settling.put(found, now, time.monotonic())

    def _release(self, most: int, deadline: float) -> list[Item]:
        items, self._ready = self._ready[:most], self._ready[most:]
        until = min(deadline, time.monotonic() + _SLICE_S)
        for path in self._settling.settled(time.monotonic()):
            if len(items) >= most or (items and time.monotonic() >= until):
                break
            if isinstance(self._source, Folder) and stamp(path)[0] < 0:
                self._settling.drop(path)
            elif (result := self._settling.examine(path, time.monotonic())) is not None:
                item, self._seen[path] = result
                items.append(item)
        return items

    def close(self) -> None:
        """Stop watching."""
        if self._news is not None:
            self._news.close()
            self._news = None


class FrameFeed:
    """Frames that are made as they are asked for: of a film, or generated."""

    def __init__(self, source: Video | Ships, known: Known, folder: Path) -> None:
        self.notice = ""
        self.finished = False
        self._source = source
        self._seen = dict(known)
        self._folder = folder
        self._frames = made_frames(source, self._seen, folder)

    @property
    def idle(self) -> bool:
        """Whether all frames have been handed out."""
        return self.finished

    def poll(self, timeout: float, most: int) -> list[Item]:
        """See ``Watcher.poll``; StorageError where a frame cannot be written: the next call tries it again."""
        items: list[Item] = []
        until = time.monotonic() + min(timeout, _SLICE_S)
        try:
            for item in self._frames:
                if item is not None and (isinstance(item, StreamItem) or is_news(item, self._seen)):
                    self._seen[item.path] = stamp(item.path)
                    items.append(item)
                if len(items) >= most or time.monotonic() >= until:
                    return items
        except StreamError as error:
            self.notice = str(error)
        except BaseException:
            # A generator that has raised is over; another one goes on where it was.
            self._frames = made_frames(self._source, self._seen, self._folder)
            raise
        self.finished = True
        return items

    def close(self) -> None:
        """Close the film."""
        self._frames.close()


class CameraFeed:
    """A frame of a camera each interval."""

    finished = False
    idle = False

    def __init__(self, frames: CameraFrames) -> None:
        self.notice = ""
        self._frames = frames

    def poll(self, timeout: float, most: int) -> list[Item]:
        """See ``Watcher.poll``; one frame at most, as the next is due only later."""
        wait = self._frames.due_in()
        time.sleep(max(0.0, min(wait, timeout)))
        if wait > timeout or most < 1:
            return []
        item = self._frames.take()
        self.notice = str(self._frames.silence()) if item is None else ""
        return [] if item is None else [item]

    def close(self) -> None:
        """Let the camera go."""
        self._frames.close()
