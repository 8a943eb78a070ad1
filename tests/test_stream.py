"""Sources of images: what they hand out, in which order, and what they leave alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from watchdog.observers.api import BaseObserver

from labeler import images, ships, stream
from labeler.errors import StreamError
from labeler.records import StreamItem, UnreadableItem
from labeler.stream.folder import stamp

Item = StreamItem | UnreadableItem
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # see labeler.stream.news


def put_image(path: Path, seed: int | None = None) -> Path:
    """A small image whose pixels depend on the seed, or else on the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(os.fsencode(path.name)) if seed is None else seed)
    path.write_bytes(images.encode(rng.integers(0, 256, (12, 16), dtype=np.uint8)))
    return path


def names(items: list[Item], root: Path) -> list[str]:
    return [item.path.relative_to(root).as_posix() for item in items]


def all_of(source: stream.Source, **options: Any) -> list[Item]:
    return list(stream.scan(source, **options))


def poll_until(watcher: stream.Watcher, enough: Callable[[list[Item]], bool], *, seconds: float = 20) -> list[Item]:
    items: list[Item] = []
    deadline = time.monotonic() + seconds
    while not enough(items) and time.monotonic() < deadline:
        items += watcher.poll(0.2)
    assert enough(items), items
    return items


def drained(watcher: stream.Watcher, *, seconds: float = 20) -> list[Item]:
    return poll_until(watcher, lambda _: watcher.idle, seconds=seconds)


def known_of(items: list[Item]) -> dict[Path, tuple[int, float]]:
    return {item.path: stamp(item.path) for item in items}


@pytest.fixture
def watch() -> Iterator[Callable[..., stream.Watcher]]:
    """Make watchers that settle fast and are closed at the end."""
    watchers = []

    def make(source: stream.Source, **options: Any) -> stream.Watcher:
        watchers.append(stream.Watcher(source, **{"settle_s": 0.05, **options}))
        return watchers[-1]

    yield make
    for watcher in watchers:
        watcher.close()
    # watchdog keeps one reader of inotify for the whole process; its observers must be gone.
    assert not [thread for thread in threading.enumerate() if isinstance(thread, BaseObserver)]


def make_film(path: Path, frames: int = 12) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 10, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        picture = np.full((48, 64, 3), index * 20 % 256, np.uint8)
        picture[:8, :8] = (255, 0, 0)  # BGR
        writer.write(picture)
    writer.release()
    return path


# Naming a source


def test_sources_are_told_apart_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "list.txt").touch()
    (tmp_path / "film.MP4").touch()
    (tmp_path / "a.PNG").touch()
    assert stream.parse_source(str(tmp_path)) == stream.Folder(tmp_path)
    assert stream.parse_source(str(tmp_path / "list.txt")) == stream.ListFile(tmp_path / "list.txt")
    assert stream.parse_source(str(tmp_path / "film.MP4")) == stream.Video(tmp_path / "film.MP4")
    assert stream.parse_source(f"{tmp_path / 'film.MP4'}?every=5") == stream.Video(tmp_path / "film.MP4", 5)
    assert stream.parse_source(str(tmp_path / "a.PNG")) == stream.ImageFile(tmp_path / "a.PNG")
    assert stream.parse_source("camera:1?interval=2.5") == stream.Camera(1, 2.5)
    assert stream.parse_source("camera:") == stream.Camera(0)
    assert stream.parse_source("ships:100?seed=1&distractor=triangle") == stream.Ships(
        100, 1, ships.ShipsConfig(distractor="triangle")
    )


def test_relative_names_become_absolute_and_a_real_file_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camera:0").mkdir()
    (tmp_path / "what?.txt").touch()
    assert stream.parse_source("camera:0") == stream.Folder(tmp_path / "camera:0")
    assert stream.parse_source("what?.txt") == stream.ListFile(tmp_path / "what?.txt")
    assert stream.parse_source(".") == stream.Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no such file or folder"),
        ("nowhere", "no such file or folder"),
        ("a\0b", "no such file or folder"),
        ("~nobody-of-this-name/x", "no such file or folder"),
        ("x" * 300, "cannot be opened"),
        ("camera:front", "front is no number"),
        ("camera:0?speed=1", "unknown option speed; known are interval"),
        ("camera:0?interval=nan", "nan is no number"),
        ("ships:", "nothing is no number"),
        ("ships:0", "0 is no number from 1"),
        ("ships:5?distractor=star", "no distractor star"),
        ("ships:5?size=8", "8 is no number from 64"),
        ("notes.pdf", "no source of images"),
        ("list.txt?every=2", "takes no options"),
    ],
)
def test_what_is_no_source_is_refused_with_a_way_out(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.pdf").touch()
    (tmp_path / "list.txt").touch()
    with pytest.raises(StreamError, match=why) as caught:
        stream.parse_source(text)
    assert "; " in str(caught.value)


# Folders


def test_folder_is_read_recursively_in_natural_order(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "B/1.jpg", "a.tif", "a/x.BMP", "notes.txt", "2024-1.png", "10/1.webp"):
        put_image(tmp_path / name)
    assert names(all_of(stream.Folder(tmp_path)), tmp_path) == [
        "2024-1.png",
        "a.tif",
        "img2.png",
        "img10.png",
        "10/1.webp",
        "a/x.BMP",
        "B/1.jpg",
    ]


def test_items_carry_hash_size_and_note(tmp_path: Path) -> None:
    path = put_image(tmp_path / "a.png")
    (item,) = all_of(stream.Folder(tmp_path))
    assert item == images.probe(path)
    assert (item.width, item.height) == (16, 12)


def test_hidden_files_and_projects_inside_the_folder_are_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".thumbs/a.png", "work/masks/1.png", "work/frames/b.png"):
        put_image(tmp_path / name)
    (tmp_path / "work" / "project.toml").touch()
    (tmp_path / "work" / "catalogue.sqlite").touch()
    assert names(all_of(stream.Folder(tmp_path)), tmp_path) == ["a.png"]


def test_known_files_are_not_read_again_until_they_change(tmp_path: Path) -> None:
    first = put_image(tmp_path / "a.png")
    put_image(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("no image")
    known = known_of(all_of(stream.Folder(tmp_path)))
    assert all_of(stream.Folder(tmp_path), known=known) == []
    put_image(first, seed=99)
    os.utime(first, (1, 1))
    assert names(all_of(stream.Folder(tmp_path), known=known), tmp_path) == ["a.png"]


def test_folder_is_not_written_to(tmp_path: Path) -> None:
    put_image(tmp_path / "a.png")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    folder = tmp_path.stat().st_mtime_ns
    all_of(stream.Folder(tmp_path), frames_folder=tmp_path / "frames")
    with stream.Watcher(stream.Folder(tmp_path), settle_s=0.05) as watcher:
        drained(watcher)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert tmp_path.stat().st_mtime_ns == folder


def test_single_image_is_a_source(tmp_path: Path) -> None:
    path = put_image(tmp_path / "a.png")
    assert names(all_of(stream.ImageFile(path)), tmp_path) == ["a.png"]


# Lists


def test_list_is_relative_to_its_folder_and_names_each_file_once(tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.png", "c d.png", "größe.png"):
        put_image(tmp_path / name)
    lines = ["a.png", "sub/b.png", "", "./a.png", "  c d.png  ", "größe.png", str(tmp_path / "sub" / "b.png")]
    listing = tmp_path / "lists" / "list.txt"
    listing.parent.mkdir()
    for ends in ("\n", "\r\n", "\r"):
        for start, encoding in (("", "utf-8"), ("\ufeff", "utf-8"), ("", "utf-16")):
            text = ends.join(line if line.startswith("/") or not line else f"../{line.strip()}" for line in lines)
            listing.write_bytes((start + text).encode(encoding))
            found = all_of(stream.ListFile(listing))
            assert names(found, tmp_path) == ["a.png", "sub/b.png", "c d.png", "größe.png"], (ends, start, encoding)
            assert all(isinstance(item, StreamItem) for item in found)


def test_list_tells_its_missing_lines_once(tmp_path: Path) -> None:
    put_image(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("gone.png\na.png\nhttps://example.org/b.png\n")
    found = all_of(stream.ListFile(tmp_path / "list.txt"))
    assert [type(item) for item in found] == [UnreadableItem, StreamItem, UnreadableItem]
    assert "gone.png: is missing; " in found[0].reason  # type: ignore[union-attr]
    assert all_of(stream.ListFile(tmp_path / "list.txt"), known=known_of(found)) == []


# Films, cameras, ships


def test_film_gives_its_frames_in_rgb_under_stable_names(tmp_path: Path) -> None:
    film = make_film(tmp_path / "my film.mkv")
    frames = tmp_path / "frames"
    found = all_of(stream.Video(film, every=5), frames_folder=frames)
    assert [item.path.name.rpartition("-")[2] for item in found] == ["000000.png", "000005.png", "000010.png"]
    assert all(item == images.probe(item.path) for item in found)
    assert images.load(found[1].path)[0, 0].tolist() == [0, 0, 255]
    assert images.load(found[1].path)[40, 40].tolist() == [100, 100, 100]

    times = [path.stat().st_mtime_ns for path in sorted(frames.glob("*.png"))]
    assert all_of(stream.Video(film, every=5), frames_folder=frames) == found
    assert all_of(stream.Video(film, every=5), frames_folder=frames, known=known_of(found)) == []
    moved = film.rename(tmp_path / "sub.mkv").rename(tmp_path / "my film.mkv")
    assert all_of(stream.Video(moved, every=5), frames_folder=frames) == found
    assert [path.stat().st_mtime_ns for path in sorted(frames.glob("*.png"))] == times


def test_film_that_is_known_to_its_end_is_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film, frames = make_film(tmp_path / "film.mkv"), tmp_path / "frames"
    known = known_of(all_of(stream.Video(film), frames_folder=frames))
    lost = max(known)
    lost.unlink()
    assert [item.path for item in all_of(stream.Video(film), frames_folder=frames, known=known)] == [lost]
    known[lost] = stamp(lost)
    monkeypatch.setattr("labeler.stream.frames._open_video", lambda path: pytest.fail("opened"))
    assert all_of(stream.Video(film), frames_folder=frames, known=known) == []


def test_ships_are_made_once_and_depend_on_the_seed(tmp_path: Path) -> None:
    source = stream.parse_source("ships:4?seed=3&distractor=triangle")
    found = all_of(source, frames_folder=tmp_path)
    wanted = [ships.as_uint8(image) for image, _ in ships.pairs(4, seed=3, config=source.config)]  # type: ignore[union-attr]
    for item, image in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(images.load(item.path), image)
    assert all_of(source, frames_folder=tmp_path, known=known_of(found)) == []
    more = stream.parse_source("ships:5?seed=3&distractor=triangle")
    assert len(all_of(more, frames_folder=tmp_path, known=known_of(found))) == 1


def test_frames_need_a_folder_to_be_kept_in() -> None:
    with pytest.raises(StreamError, match="need a project"):
        all_of(stream.Ships(1))


class FakeCamera:
    """A camera that shows its count and can be unplugged."""

    def __init__(self, *, plugged: bool = True) -> None:
        self.plugged = plugged
        self.opened = 0
        self.released = 0
        self.count = 0

    def __call__(self, index: int) -> FakeCamera:
        self.opened += 1
        return self

    def isOpened(self) -> bool:
        return self.plugged

    def grab(self) -> bool:
        self.count += 1
        return self.plugged

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.full((12, 16, 3), (self.count, 0, 0), np.uint8)

    def get(self, propId: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released += 1


def test_camera_gives_a_frame_each_interval(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    camera = FakeCamera()
    watcher = watch(stream.Camera(0, interval_s=0.05), frames_folder=tmp_path, opener=camera)
    started = time.monotonic()
    found = poll_until(watcher, lambda items: len(items) >= 4)
    assert time.monotonic() - started >= 0.14
    assert [images.load(item.path)[0, 0, 2] for item in found] == [1, 2, 3, 4]
    assert len({item.path for item in found}) == 4
    assert not watcher.idle
    watcher.close()
    assert camera.released == 1


def test_poll_of_a_camera_keeps_to_its_time(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    watcher = watch(stream.Camera(0, interval_s=60), frames_folder=tmp_path, opener=FakeCamera())
    assert len(watcher.poll(0)) == 1
    started = time.monotonic()
    assert watcher.poll(0.05) == []
    assert time.monotonic() - started < 5


def test_unplugged_camera_is_noticed_and_taken_up_again(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    camera = FakeCamera()
    watcher = watch(stream.Camera(2, interval_s=0.01), frames_folder=tmp_path, opener=camera)
    poll_until(watcher, lambda items: len(items) == 1)
    camera.plugged = False
    assert watcher.poll(0.2) == []
    assert watcher.notice.startswith("camera 2: does not answer; ")
    camera.plugged = True
    poll_until(watcher, lambda items: len(items) == 1)
    assert watcher.notice == ""
    assert camera.opened == 2


def test_camera_that_is_not_there_is_a_stream_error(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="camera 5: does not answer"):
        stream.Watcher(stream.Camera(5), frames_folder=tmp_path, opener=FakeCamera(plugged=False))


# Watching


def test_watcher_hands_out_what_is_there_and_what_comes(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    put_image(tmp_path / "a.png")
    watcher = watch(stream.Folder(tmp_path))
    assert watcher.notice == ""
    assert names(drained(watcher), tmp_path) == ["a.png"]
    assert watcher.poll(0) == []
    put_image(tmp_path / "b.png")
    put_image(tmp_path / "new" / "deep" / "c.png")
    put_image(tmp_path / ".hidden" / "d.png")
    assert set(names(poll_until(watcher, lambda items: len(items) >= 2), tmp_path)) == {"b.png", "new/deep/c.png"}
    assert not watcher.finished


def test_known_files_are_not_handed_out_by_the_watcher(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    put_image(tmp_path / "a.png")
    known = known_of(all_of(stream.Folder(tmp_path)))
    put_image(tmp_path / "b.png")
    assert names(drained(watch(stream.Folder(tmp_path), known=known)), tmp_path) == ["b.png"]


def test_overwritten_file_comes_again(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    path = put_image(tmp_path / "a.png")
    watcher = watch(stream.Folder(tmp_path))
    (first,) = drained(watcher)
    path.write_bytes(images.encode(np.zeros((30, 30), np.uint8)))
    (second,) = poll_until(watcher, lambda items: len(items) >= 1)
    assert isinstance(first, StreamItem)
    assert isinstance(second, StreamItem)
    assert first.sha256 != second.sha256


def test_list_that_grows_is_followed(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    put_image(tmp_path / "a.png")
    put_image(tmp_path / "b.png")
    (tmp_path / "list.txt").write_text("a.png\n")
    watcher = watch(stream.ListFile(tmp_path / "list.txt"))
    assert names(drained(watcher), tmp_path) == ["a.png"]
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    assert names(poll_until(watcher, lambda items: len(items) >= 1), tmp_path) == ["b.png"]


def test_film_is_finished_at_its_end(tmp_path: Path, watch: Callable[..., stream.Watcher]) -> None:
    watcher = watch(stream.Video(make_film(tmp_path / "a.mkv")), frames_folder=tmp_path / "frames", capacity=5)
    assert not watcher.finished
    assert len(watcher.poll(5)) <= 5
    assert len(poll_until(watcher, lambda _: watcher.finished)) >= 7
    assert watcher.idle
    assert watcher.poll(0) == []


def test_slow_caller_is_never_handed_more_than_the_capacity(
    tmp_path: Path, watch: Callable[..., stream.Watcher]
) -> None:
    for index in range(30):
        put_image(tmp_path / f"{index}.png")
    watcher = watch(stream.Folder(tmp_path), capacity=4)
    batches = []
    deadline = time.monotonic() + 20
    while not watcher.idle and time.monotonic() < deadline:
        batches.append(watcher.poll(0.2))
    assert max(map(len, batches)) <= 4
    assert len({item.path for batch in batches for item in batch}) == sum(map(len, batches)) == 30


@pytest.mark.realdata
def test_real_folder_streams_without_a_bad_file(realdata: Path) -> None:
    folder = realdata / "dsb2018_nuclei" / "images"
    found = all_of(stream.Folder(folder))
    assert len(found) == len(list(folder.iterdir()))
    assert all(isinstance(item, StreamItem) for item in found)
