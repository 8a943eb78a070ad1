"""Images that have no file of their own: frames of films and cameras, generated ships. Each is written as PNG."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labeler import images, ships
from labeler.errors import StorageError, StreamError
from labeler.files import sha256_of, write_atomically
from labeler.images import shown
from labeler.records import Image, StreamItem, UnreadableItem
from labeler.stream.folder import Found, examine, stamp
from labeler.stream.sources import Camera, Ships, Video

Items = Generator[StreamItem | UnreadableItem, None, None]
# None where a step brought nothing new: whoever drives it can stop in between.
Steps = Generator[StreamItem | UnreadableItem | None, None, None]
Known = Mapping[Path, tuple[int, float]]

_SAMPLED = 2**20  # bytes at either end of a film that tell it from others


class Capture(Protocol):
    """What is used of OpenCV's VideoCapture."""

    def isOpened(self) -> bool:
        """Whether frames can be expected."""

    def grab(self) -> bool:
        """Go to the next frame."""

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the frame gone to, (H, W, 3) BGR."""

    def get(self, propId: int) -> float:
        """A property."""

    def release(self) -> None:
        """Let the device or file go."""


def ships_frames(source: Ships, folder: Path, known: Known) -> Steps:
    """Generated ships; those whose file is there already are not made again."""
    config = source.config
    for index in range(source.count):
        name = f"ships-{source.seed}-{config.distractor}-{config.size}-{index:06d}.png"

        def draw(index: int = index) -> Image:
            image, _ = ships.pair(np.random.default_rng((source.seed, index)), config)
            return ships.as_uint8(image)

        yield from _frame(folder / name, draw, known, durable=False)


def video_frames(source: Video, folder: Path, known: Known) -> Steps:
    """Frames of a film, numbered; a film that ends before its time gives what it has and a word about it.

    StreamError where the film cannot be opened at all.
    """
    prefix = _prefix(source.path)
    done = folder / f"{prefix}-{source.every}.done"
    if _is_done(done, folder / prefix, source.every, known):
        return
    capture = _open_video(source.path)
    try:
        # Some containers only estimate it, hence the tolerance below.
        expected = int(max(0, capture.get(_FRAME_COUNT)))
        index = -1
        while capture.grab():
            index += 1
            yield None
            if index % source.every == 0:
                path = _frame_path(folder / prefix, index)
                yield from _frame(path, lambda: _retrieved(capture), known, durable=False)
        if index + 1 < expected * 0.98 - 1 or index < 0:
            what = f"ends after {index + 1} of {expected} frames"
            why = f"{shown(source.path.name)}: {what}; it is cut or damaged, copy it again"
            yield UnreadableItem(source.path, why)
        else:
            write_atomically(done, str(index + 1).encode(), durable=False)
    finally:
        capture.release()


def _frame_path(stem: Path, index: int) -> Path:
    return stem.with_name(f"{stem.name}-{index:06d}.png")


def _is_done(done: Path, stem: Path, every: int, known: Known) -> bool:
    """Whether all frames of a film are known already: it need not be decoded from start to end to find that out."""
    try:
        count = int(done.read_text("ascii"))
    except (OSError, ValueError):
        return False
    paths = (_frame_path(stem, index) for index in range(0, count, every))
    return all(path in known and known[path] == stamp(path) for path in paths)


_FRAME_COUNT = 7  # cv2.CAP_PROP_FRAME_COUNT, not worth the import of OpenCV


def _open_video(path: Path) -> Capture:
    cv2 = images.opencv()
    try:
        # FFmpeg by name: other backends take "%03d" in a name for a pattern.
        capture: Capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    except (cv2.error, UnicodeError) as error:
        raise _no_film(path) from error
    if not capture.isOpened():
        raise _no_film(path)
    return capture


def _no_film(path: Path) -> StreamError:
    what = "is missing" if not path.exists() else "is no film that can be read, or it is damaged"
    return StreamError(f"{shown(path)}: {what}; convert it to MP4 (H.264), or copy it again")


def _prefix(path: Path) -> str:
    """A name for the frames that stays the same wherever the film lies, and differs between films of one name."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            digest.update(str(size).encode())
            for start in (0, max(0, size - _SAMPLED)):
                stream.seek(start)
                digest.update(stream.read(_SAMPLED))
    except OSError as error:
        raise StreamError(f"{shown(path)}: cannot be read ({error.strerror}); check its permissions") from error
    # The frames' names go through lists and other systems: plain letters only, and short.
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:40] or "film"
    return f"{stem}-{digest.hexdigest()[:8]}"


def _retrieved(capture: Capture) -> Image:
    """The frame gone to as RGB; StreamError where it is damaged."""
    cv2 = images.opencv()
    try:
        done, frame = capture.retrieve()
    except cv2.error as error:
        raise StreamError(str(error)) from error
    if not done or frame is None or not frame.size:
        raise StreamError("the frame is damaged")
    pixels: NDArray[np.uint8] = np.ascontiguousarray(frame[..., ::-1] if frame.ndim == 3 else frame)
    return pixels


def _frame(path: Path, draw: Callable[[], Image], known: Known, *, durable: bool) -> Steps:
    """The item of one frame: nothing if it is known, its file if that is whole, else drawn and written."""
    now = stamp(path)
    if now[0] >= 0:
        if known.get(path) == now:
            return
        item = examine(Found(path))
        if isinstance(item, StreamItem):
            yield item
            return
    try:
        image = draw()
    except StreamError as error:
        yield UnreadableItem(path, f"{path.name}: {error}; this frame is left out")
        return
    yield written(path, image, durable=durable)


def written(path: Path, image: Image, *, durable: bool) -> StreamItem:
    """Write a frame and describe it without reading it back."""
    payload = images.encode(image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: cannot be made ({error.strerror}); choose another folder") from error
    write_atomically(path, payload, durable=durable)
    return StreamItem(path, sha256_of(payload), image.shape[1], image.shape[0])


def open_camera(index: int) -> Capture:
    """Camera ``index`` of this computer."""
    capture: Capture = images.opencv().VideoCapture(index)
    return capture


class CameraFrames:
    """Frames of a camera, one each interval; comes back by itself after the camera was unplugged."""

    def __init__(self, source: Camera, folder: Path, *, opener: Callable[[int], Capture] = open_camera) -> None:
        """StreamError where there is no such camera now."""
        self._source = source
        self._folder = folder
        self._opener = opener
        self._capture: Capture | None = opener(source.index)
        if not self._capture.isOpened():
            raise self.silence()
        # A camera has no content to name its frames by; the moment of opening keeps them apart.
        self._started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._taken = 0
        self._due = time.monotonic()

    def silence(self) -> StreamError:
        """What to say when there is no answer."""
        return StreamError(f"camera {self._source.index}: does not answer; connect it, or close what else uses it")

    def due_in(self) -> float:
        """Seconds until the next frame is to be taken; 0 or less: now."""
        return self._due - time.monotonic()

    def take(self) -> StreamItem | None:
        """Take a frame now; None where the camera does not answer: it is opened anew the next time."""
        self._due = time.monotonic() + self._source.interval_s
        image = self._image()
        if image is None:
            self.close()
            return None
        self._taken += 1
        name = f"camera-{self._source.index}-{self._started}-{self._taken:06d}.png"
        return written(self._folder / name, image, durable=True)  # nobody can take this picture again

    def _image(self) -> Image | None:
        if self._capture is None:
            self._capture = self._opener(self._source.index)
        try:
            return _retrieved(self._capture) if self._capture.grab() else None
        except StreamError:
            return None

    def close(self) -> None:
        """Let the camera go."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
