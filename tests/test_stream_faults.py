"""What files and folders can do to a stream: it goes on, and tells a person what is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_stream import all_of, drained, known_of, make_film, names, poll_until, put_image, watch

from labeler import files, images, stream
from labeler.errors import StorageError, StreamError
from labeler.records import StreamItem, UnreadableItem
from labeler.stream import news, watcher

Watch = Callable[..., stream.Watcher]

__all__ = ["watch"]  # a fixture
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # see labeler.stream.news


def reasons(items: list[stream.Item]) -> dict[str, str]:  # type: ignore[name-defined]
    return {item.path.name: item.reason for item in items if isinstance(item, UnreadableItem)}


def test_bad_files_are_set_apart_and_stop_nothing(tmp_path: Path) -> None:
    whole = put_image(tmp_path / "good.png").read_bytes()
    bad = {
        "empty.png": b"",
        "text.png": b"hello",
        "cut.png": whole[: len(whole) // 2],
        "endless.png": whole[:-12],
        "zeros.jpg": bytes(4000),
        "header.bmp": b"BM" + bytes(20),
        "shape.tif": b"II*\0\x08\0\0\0",
        "picture.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    }
    for name, payload in bad.items():
        (tmp_path / name).write_bytes(payload)
    found = all_of(stream.Folder(tmp_path))
    assert [item.path.name for item in found if isinstance(item, StreamItem)] == ["good.png"]
    assert set(reasons(found)) == set(bad)
    for name, reason in reasons(found).items():
        assert reason.startswith(f"{name}: ")
        assert "; " in reason


def test_content_counts_not_the_suffix(tmp_path: Path) -> None:
    put_image(tmp_path / "a.jpg")
    assert isinstance(all_of(stream.Folder(tmp_path))[0], StreamItem)


def test_pipes_devices_and_folders_with_image_names_never_block(tmp_path: Path, watch: Watch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    put_image(tmp_path / "folder.png" / "inside.png")
    for found in (all_of(stream.Folder(tmp_path)), drained(watch(stream.Folder(tmp_path)))):
        assert set(reasons(found)) == {"pipe.png", "device.png"}
        assert all("pipe, socket or device" in reason for reason in reasons(found).values())
        assert [item.path.name for item in found if isinstance(item, StreamItem)] == ["inside.png"]


def test_links_in_circles_end_and_links_inside_are_no_second_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put_image(root / "sub" / "a.png")
    (root / "sub" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "sub")
    (root / "b.png").symlink_to(root / "sub" / "a.png")
    (root / "self.png").symlink_to(root / "self.png")
    found = all_of(stream.Folder(root))
    assert names(found, root) == ["self.png", "sub/a.png"]
    assert "is a link to a file that is not there" in reasons(found)["self.png"]


def test_links_that_leave_the_folder_are_noted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    elsewhere = put_image(tmp_path / "elsewhere" / "a.png")
    (root / "file.png").symlink_to(elsewhere)
    (root / "folder").symlink_to(elsewhere.parent)
    (root / "broken.png").symlink_to(tmp_path / "nothing.png")
    (root / "broken.txt").symlink_to(tmp_path / "nothing.txt")
    found = {item.path.name: item for item in all_of(stream.Folder(root))}
    assert set(found) == {"file.png", "folder", "broken.png"}
    assert found["file.png"].note == "linked from another folder"  # type: ignore[union-attr]
    assert "is a link to another folder; open that folder" in found["folder"].reason  # type: ignore[union-attr]
    assert all_of(stream.Folder(root), known=known_of(list(found.values()))) == []


def test_link_that_appears_is_judged_as_in_a_scan(tmp_path: Path, watch: Watch) -> None:
    root = tmp_path / "root"
    inside = put_image(root / "a.png")
    outside = put_image(tmp_path / "b.png")
    watcher = watch(stream.Folder(root))
    drained(watcher)
    (root / "inside.png").symlink_to(inside)
    (root / "outside.png").symlink_to(outside)
    found = poll_until(watcher, lambda items: len(items) >= 1)
    assert names(found, root) == ["outside.png"]


def test_a_root_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    put_image(tmp_path / "real" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert names(all_of(stream.parse_source(str(tmp_path / "link"))), tmp_path) == ["link/a.png"]


ODD_NAMES = [
    unicodedata.normalize("NFC", "größe.png").encode(),
    unicodedata.normalize("NFD", "größe.png").encode(),
    b"new\nline.png",
    b"quote\"'`.png",
    b"100%d%s.png",
    b"-rf.png",
    b" lead.png",
    b"semi;colon.png",
    b"=1+1.png",
    b"not utf8 \xff\xfe.png",
    b"x" * 251 + b".png",
    b"Case.png",
    b"case.png",
    b"same.png",
    b"same.jpg",
]


def test_odd_names_come_through_unchanged_and_apart(tmp_path: Path, watch: Watch) -> None:
    for name in ODD_NAMES:
        put_image(tmp_path / os.fsdecode(name))
    for found in (all_of(stream.Folder(tmp_path)), drained(watch(stream.Folder(tmp_path)))):
        assert sorted(os.fsencode(item.path.name) for item in found) == sorted(ODD_NAMES)
        assert all(isinstance(item, StreamItem) for item in found)


def test_odd_names_of_bad_files_give_sentences_of_one_printable_line(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"no image")
    found = reasons(all_of(stream.Folder(tmp_path)))
    assert len(found) == len(ODD_NAMES)
    for reason in found.values():
        assert reason.isprintable()
        reason.encode()


def test_odd_names_in_a_list_open(tmp_path: Path) -> None:
    usable = [name for name in ODD_NAMES if b"\n" not in name and not name.startswith(b" ")]
    for name in usable:
        put_image(tmp_path / os.fsdecode(name))
    (tmp_path / "list.txt").write_bytes(b"\n".join(usable))
    found = all_of(stream.ListFile(tmp_path / "list.txt"))
    assert [os.fsencode(item.path.name) for item in found] == usable
    assert all(isinstance(item, StreamItem) for item in found)


@pytest.mark.parametrize("payload", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a.png\0b.png"])
def test_list_that_is_no_text_is_refused(tmp_path: Path, payload: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(payload)
    with pytest.raises(StreamError, match=r"list\.txt: is no text"):
        all_of(stream.ListFile(tmp_path / "list.txt"))


def test_hostile_lines_of_a_list_are_unreadable_items(tmp_path: Path) -> None:
    lines = ["x" * 100_000, "~nobody/a.png", "a\0b.png", ".", "/dev/zero", "*.png"]
    (tmp_path / "list.txt").write_bytes("\n".join(lines).encode("utf-16"))
    found = all_of(stream.ListFile(tmp_path / "list.txt"))
    assert [type(item) for item in found] == [UnreadableItem] * len(lines)
    for item in found:
        item.path.exists()  # a path that the rest of the program can ask for, too


def test_pipe_as_a_list_or_film_never_blocks(tmp_path: Path) -> None:
    for name in ("list.txt", "film.mp4"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(StreamError, match=r"is no source of images"):
            stream.parse_source(str(tmp_path / name))


def test_film_that_is_none_is_refused(tmp_path: Path) -> None:
    film = tmp_path / "%03d.mp4"
    film.write_bytes(b"no film" * 100)
    with pytest.raises(StreamError, match="is no film that can be read"):
        all_of(stream.Video(film), frames_folder=tmp_path / "frames")
    with pytest.raises(StreamError, match=r"cannot be read|is missing"):
        all_of(stream.Video(tmp_path / "gone.mp4"), frames_folder=tmp_path / "frames")


def test_film_that_ends_in_mid_frame_gives_what_it_has_and_says_so(tmp_path: Path, watch: Watch) -> None:
    film = make_film(tmp_path / "film.mkv", 30)
    whole = film.read_bytes()
    film.write_bytes(whole[: len(whole) // 2])
    frames = tmp_path / "frames"
    found = all_of(stream.Video(film), frames_folder=frames)
    assert 1 <= len([item for item in found if isinstance(item, StreamItem)]) < 29
    assert "of 30 frames; it is cut or damaged" in reasons(found)["film.mkv"]
    assert all_of(stream.Video(film), frames_folder=frames, known=known_of(found)) == []
    feed = watch(stream.Video(film), frames_folder=frames, known=known_of(found))
    assert poll_until(feed, lambda _: feed.finished) == []


def test_damaged_frame_file_is_made_again(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", 3)
    found = all_of(stream.Video(film), frames_folder=tmp_path / "frames")
    found[1].path.write_bytes(b"")
    assert all_of(stream.Video(film), frames_folder=tmp_path / "frames") == found


def test_frame_that_cannot_be_written_is_tried_again(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = tmp_path / "frames"
    frames.write_text("in the way")
    feed = watch(stream.Ships(3), frames_folder=frames)
    with pytest.raises(StorageError, match="frames"):
        feed.poll(1)
    assert not feed.finished
    frames.unlink()
    assert len(poll_until(feed, lambda _: feed.finished)) == 3
    assert not list(frames.glob(f"*{files.STAGED_SUFFIX}"))


# Files that are being written


def test_scan_leaves_a_file_that_goes_on_growing_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler.stream.scanning._PATIENCE_S", 0.5)
    whole = put_image(tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:40])
    done = threading.Event()

    def write() -> None:
        with (tmp_path / "b.png").open("ab", buffering=0) as growing:
            while not done.wait(0.01):
                growing.write(b"x")

    writer = threading.Thread(target=write)
    writer.start()
    found = all_of(stream.Folder(tmp_path))
    done.set()
    writer.join()
    assert names(found, tmp_path) == ["a.png"]
    assert names(all_of(stream.Folder(tmp_path)), tmp_path) == ["a.png", "b.png"]


def test_scan_waits_for_a_fresh_file_to_become_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put_image(tmp_path / "a.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    monkeypatch.setattr(
        "labeler.stream.scanning.time.sleep", lambda _: path.read_bytes() == whole or path.write_bytes(whole)
    )
    (item,) = all_of(stream.Folder(tmp_path))
    assert isinstance(item, StreamItem)


def test_growing_file_comes_once_and_whole(tmp_path: Path, watch: Watch) -> None:
    whole = images.encode(np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8))
    root = tmp_path / "root"
    root.mkdir()
    watcher = watch(stream.Folder(root), settle_s=0.15)
    go_on, done = threading.Event(), threading.Event()

    def write() -> None:
        with (root / "a.png").open("wb", buffering=0) as slow:
            for start in range(0, len(whole), len(whole) // 10):
                slow.write(whole[start : start + len(whole) // 10])
                go_on.wait(0.05)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    while not done.is_set():
        found += watcher.poll(0.02)
    writer.join()
    found += poll_until(watcher, lambda items: len(items) >= 1 - len(found))
    assert found == [images.probe(root / "a.png")]
    assert watcher.poll(0.3) == []


def test_writer_that_pauses_is_waited_for(tmp_path: Path, watch: Watch) -> None:
    whole = images.encode(np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8))
    path = tmp_path / "a.png"
    watcher = watch(stream.Folder(tmp_path), settle_s=0.3)
    path.write_bytes(whole[:1000])
    assert watcher.poll(0.6) == []  # longer than the settling time
    path.write_bytes(whole)
    (item,) = poll_until(watcher, lambda items: len(items) >= 1)
    assert isinstance(item, StreamItem)


def test_file_that_stays_cut_is_told_and_comes_when_it_is_whole(tmp_path: Path, watch: Watch) -> None:
    whole = images.encode(np.zeros((60, 60), np.uint8))
    path = tmp_path / "a.png"
    path.write_bytes(whole[:60])
    watcher = watch(stream.Folder(tmp_path))
    (item,) = poll_until(watcher, lambda items: len(items) >= 1)
    assert "ends before the picture does" in reasons([item])["a.png"]
    assert watcher.poll(0.2) == []
    path.write_bytes(whole)
    (item,) = poll_until(watcher, lambda items: len(items) >= 1)
    assert isinstance(item, StreamItem)


def test_file_renamed_into_place_comes(tmp_path: Path, watch: Watch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    watcher = watch(stream.Folder(root))
    drained(watcher)
    whole = put_image(root / "a.png.part")
    assert watcher.poll(0.2) == []
    whole.rename(root / "a.png")
    put_image(tmp_path / "b.png").rename(root / "b.png")
    assert set(names(poll_until(watcher, lambda items: len(items) >= 2), root)) == {"a.png", "b.png"}


def test_file_that_vanishes_while_it_settles_is_no_news(tmp_path: Path, watch: Watch) -> None:
    watcher = watch(stream.Folder(tmp_path), settle_s=1)
    put_image(tmp_path / "a.png")
    assert watcher.poll(0.05) == []
    (tmp_path / "a.png").unlink()
    assert drained(watcher) == []


def test_folder_that_goes_and_comes_back_is_noticed(tmp_path: Path, watch: Watch) -> None:
    root = tmp_path / "drive"
    put_image(root / "a.png")
    watcher = watch(stream.Folder(root))
    drained(watcher)
    root.rename(tmp_path / "unmounted")
    deadline = time.monotonic() + 20
    watcher._feed._look_again = 0.0  # type: ignore[attr-defined]  # not to wait for the regular look
    while not watcher.notice and time.monotonic() < deadline:
        assert watcher.poll(0.1) == []
    assert "cannot be listed" in watcher.notice
    (tmp_path / "unmounted").rename(root)
    put_image(root / "b.png")
    assert names(poll_until(watcher, lambda items: len(items) >= 1), root) == ["b.png"]
    poll_until(watcher, lambda _: not watcher.notice)
    put_image(root / "c.png")  # and it is watched again
    assert names(poll_until(watcher, lambda items: len(items) >= 1, seconds=5), root) == ["c.png"]


def test_limit_of_watches_falls_back_to_looking_and_says_so(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted(news.FolderNews):
        def __init__(self, root: Path) -> None:
            raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(watcher, "FolderNews", Exhausted)
    monkeypatch.setattr(watcher, "_POLL_S", 0.05)
    put_image(tmp_path / "a.png")
    polling = watch(stream.Folder(tmp_path))
    assert "inotify watch limit reached" in polling.notice
    assert "max_user_watches" in polling.notice
    drained(polling)
    put_image(tmp_path / "sub" / "b.png")
    assert names(poll_until(polling, lambda items: len(items) >= 1), tmp_path) == ["sub/b.png"]


def test_folder_whose_changes_are_not_all_reported_is_looked_at_instead(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news.FolderNews, "on_any_event", lambda self, event: None)  # as on a network drive
    monkeypatch.setattr(watcher, "_LOOK_S", 0.05)
    monkeypatch.setattr(watcher, "_POLL_S", 0.05)
    put_image(tmp_path / "a.png")
    deaf = watch(stream.Folder(tmp_path))
    drained(deaf)
    assert deaf.notice == ""
    os.utime(put_image(tmp_path / "b.png"), (1, 1))
    assert names(poll_until(deaf, lambda items: len(items) >= 1), tmp_path) == ["b.png"]
    assert "does not report all changes" in deaf.notice


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission_is_an_item_and_the_rest_goes_on(tmp_path: Path) -> None:
    put_image(tmp_path / "a.png")
    put_image(tmp_path / "locked" / "b.png")
    (tmp_path / "locked").chmod(0)
    try:
        found = all_of(stream.Folder(tmp_path))
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert "cannot be listed (Permission denied)" in reasons(found)["locked"]
    assert len(found) == 2


def test_ten_thousand_files_at_once_come_all(tmp_path: Path, watch: Watch) -> None:
    payload = images.encode(np.zeros((2, 2), np.uint8))
    watcher = watch(stream.Folder(tmp_path), capacity=64)
    for index in range(10_000):
        (tmp_path / f"{index}.png").write_bytes(payload)
    found = poll_until(watcher, lambda items: len(items) >= 10_000, seconds=120)
    assert len({item.path for item in found}) == len(found) == 10_000


def test_nothing_is_decoded_while_nobody_asks(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(20):
        put_image(tmp_path / f"{index}.png")
    read = []
    monkeypatch.setattr("labeler.stream.folder.probe", lambda path: read.append(path) or images.probe(path))
    watcher = watch(stream.Folder(tmp_path), capacity=3)
    assert read == []
    assert len(poll_until(watcher, lambda items: len(items) >= 3)) == len(read)


def test_no_home_is_no_obstacle(tmp_path: Path) -> None:
    put_image(tmp_path / "a.png")
    script = "import sys; from labeler import stream; print(len(list(stream.scan(stream.parse_source(sys.argv[1])))))"
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.split() == ["1"]
