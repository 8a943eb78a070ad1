"""The lane, the stream reader and the image loader, on real threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from labeler.errors import ImageError
from labeler.ui.worker import (
    ImageLoader,
    Lane,
    Load,
    LoadRequest,
    Milestone,
    Priority,
    StreamReader,
    Task,
    Worker,
    running,
)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    left = running()
    for worker in left:
        worker.shut_down()
    assert not left, f"threads left alive: {left}"


class Listener(QObject):
    """Collects what a worker says, on the main thread."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []
        self.thread_names: set[str] = set()

    @Slot(object)
    def one(self, first: object) -> None:
        self.heard.append((first,))
        self.thread_names.add(threading.current_thread().name)

    @Slot(object, object)
    def two(self, first: object, second: object) -> None:
        self.heard.append((first, second))
        self.thread_names.add(threading.current_thread().name)


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane()
    yield lane
    assert lane.shut_down()


def counting(order: list[str], name: str, steps: int, gate: threading.Event | None = None) -> Callable[[], Any]:
    def start() -> Generator[int, None, str]:
        for step in range(steps):
            if gate is not None:
                assert gate.wait(5)
            order.append(name)
            yield step
        return f"{name} done"

    return start


def endless(closed: list[str], *, step_s: float = 0.001) -> Callable[[], Any]:
    def start() -> Generator[int, None, None]:
        try:
            while True:
                time.sleep(step_s)  # a step's work
                yield 1
        finally:
            closed.append("closed")

    return start


def test_lane_delivers_steps_and_result_on_the_main_thread(lane: Lane, qtbot: QtBot) -> None:
    steps, results = Listener(), Listener()
    lane.stepped.connect(steps.two)
    lane.completed.connect(results.two)
    task = Task("count", Priority.PREDICT, counting([], "count", 3))
    with qtbot.waitSignal(lane.completed):
        lane.submit(task)
    assert steps.heard == [(task.task_id, 0), (task.task_id, 1), (task.task_id, 2)]
    assert results.heard == [(task.task_id, "count done")]
    assert steps.thread_names | results.thread_names == {threading.main_thread().name}


def test_training_and_prediction_take_turns(lane: Lane, qtbot: QtBot) -> None:
    order: list[str] = []
    gate = threading.Event()
    lane.submit(Task("t", Priority.TRAIN, counting(order, "train", 4, gate)))
    lane.submit(Task("p", Priority.PREDICT, counting(order, "predict", 4, gate)))
    with qtbot.waitSignals([lane.completed, lane.completed]):
        gate.set()
    assert order == ["train", "predict"] * 4


def test_front_image_goes_before_everything_that_waits(lane: Lane, qtbot: QtBot) -> None:
    order: list[str] = []
    gate = threading.Event()
    lane.submit(Task("t", Priority.TRAIN, counting(order, "train", 5, gate)))
    lane.submit(Task("p", Priority.PREDICT, counting(order, "predict", 5, gate)))
    lane.submit(Task("f", Priority.FRONT, counting(order, "front", 2, gate)))
    with qtbot.waitSignals([lane.completed] * 3):
        gate.set()
    first = order.index("front")
    assert order[first : first + 2] == ["front", "front"]
    assert first <= 1  # at most the step that was under way came before it


def test_a_none_step_sends_nothing(lane: Lane, qtbot: QtBot) -> None:
    def start() -> Generator[int | None, None, None]:
        yield None
        yield 7
        yield None

    steps = Listener()
    lane.stepped.connect(steps.two)
    with qtbot.waitSignal(lane.completed):
        lane.submit(Task("quiet", Priority.TRAIN, start))
    assert [value for _, value in steps.heard] == [7]


def test_stop_closes_the_generator_within_a_second(lane: Lane, qtbot: QtBot) -> None:
    closed: list[str] = []
    task = Task("endless", Priority.TRAIN, endless(closed))
    with qtbot.waitSignal(lane.stepped):
        lane.submit(task)
    began = time.monotonic()
    with qtbot.waitSignal(lane.stopped) as blocker:
        lane.stop(task.task_id)
    assert blocker.args == [task.task_id]
    assert closed == ["closed"]
    assert time.monotonic() - began < 1


def test_stop_reaches_a_paused_task_and_one_that_never_began(lane: Lane, qtbot: QtBot) -> None:
    lane.pause(Priority.TRAIN)
    task = Task("never", Priority.TRAIN, endless([]))
    lane.submit(task)
    with qtbot.waitSignal(lane.stopped):
        lane.stop(task.task_id)


def test_pause_holds_a_kind_and_resume_lets_it_go_on(lane: Lane, qtbot: QtBot) -> None:
    order: list[str] = []
    lane.pause(Priority.TRAIN)
    lane.submit(Task("t", Priority.TRAIN, counting(order, "train", 2)))
    with qtbot.waitSignal(lane.completed):
        lane.submit(Task("p", Priority.PREDICT, counting(order, "predict", 2)))
    assert order == ["predict", "predict"]
    assert lane.is_paused(Priority.TRAIN)
    with qtbot.waitSignal(lane.completed):
        lane.resume(Priority.TRAIN)
    assert order[2:] == ["train", "train"]


def test_a_failed_task_delivers_its_exception_and_the_lane_goes_on(lane: Lane, qtbot: QtBot) -> None:
    def start() -> Generator[int, None, None]:
        yield 1
        raise MemoryError("no more memory")

    task = Task("fails", Priority.TRAIN, start)
    with qtbot.waitSignal(lane.failed) as blocker:
        lane.submit(task)
    assert blocker.args is not None
    assert blocker.args[0] == task.task_id
    assert isinstance(blocker.args[1], MemoryError)
    with qtbot.waitSignal(lane.completed):
        lane.submit(Task("after", Priority.TRAIN, counting([], "after", 1)))


def test_a_task_that_cannot_even_begin_delivers_its_exception(lane: Lane, qtbot: QtBot) -> None:
    def start() -> Generator[int, None, None]:
        raise OSError("no such model")

    with qtbot.waitSignal(lane.failed) as blocker:
        lane.submit(Task("fails", Priority.FRONT, start))
    assert blocker.args is not None
    assert isinstance(blocker.args[1], OSError)


def test_drain_empties_the_lane_and_leaves_it_usable(lane: Lane, qtbot: QtBot) -> None:
    closed: list[str] = []
    lane.submit(Task("a", Priority.TRAIN, endless(closed)))
    lane.submit(Task("b", Priority.PREDICT, endless(closed)))
    with qtbot.waitSignals([lane.stepped] * 4):
        pass
    assert lane.drain()
    assert closed == ["closed", "closed"]
    with qtbot.waitSignal(lane.completed):
        lane.submit(Task("after", Priority.PREDICT, counting([], "after", 1)))


def test_shut_down_closes_what_runs_and_what_waits(qtbot: QtBot) -> None:
    lane = Lane()
    closed: list[str] = []
    with qtbot.waitSignal(lane.stepped):
        lane.submit(Task("a", Priority.TRAIN, endless(closed)))
    lane.submit(Task("b", Priority.TRAIN, endless(closed)))
    assert lane.shut_down()
    assert closed == ["closed"]  # the second never began
    assert not lane.isRunning()
    lane.submit(Task("late", Priority.FRONT, endless(closed)))
    assert not lane.isRunning()


def test_shut_down_reports_a_thread_that_does_not_end(qtbot: QtBot) -> None:
    gate = threading.Event()

    class Deaf(Worker):
        def run(self) -> None:
            gate.wait(5)

    deaf = Deaf()
    deaf.launch()
    assert not deaf.shut_down(timeout_ms=20)
    assert deaf in running()
    gate.set()
    assert deaf.shut_down()


def test_reader_waits_for_acknowledgement_before_it_reads_on(qtbot: QtBot) -> None:
    read: list[int] = []

    def items() -> Generator[int, None, None]:
        for number in range(100):
            read.append(number)
            yield number

    reader = StreamReader(items, batch=10, patience_s=5, in_flight=2)
    listener = Listener()
    reader.found.connect(listener.one)
    with qtbot.waitSignals([reader.found, reader.found]):
        reader.launch()
    with qtbot.waitSignal(reader.found):  # nothing comes until a batch is acknowledged
        assert len(read) <= 30
        reader.acknowledge()
    assert len(listener.heard) == 3
    assert len(read) <= 40
    assert reader.shut_down()


def test_reader_hands_over_a_part_of_a_batch_when_the_source_is_slow(qtbot: QtBot) -> None:
    closed = threading.Event()

    def items() -> Generator[int | None, None, None]:
        try:
            yield 1
            while True:
                time.sleep(0.005)  # a poll that finds nothing
                yield None
        finally:
            closed.set()

    reader = StreamReader(items, batch=10, patience_s=0.02)
    with qtbot.waitSignal(reader.found) as blocker:
        reader.launch()
    assert blocker.args == [[1]]
    assert reader.shut_down()
    assert closed.is_set()


def test_reader_flushes_before_a_milestone(qtbot: QtBot) -> None:
    def items() -> Generator[Any, None, None]:
        yield 1
        yield Milestone("scanned")

    reader = StreamReader(items, patience_s=5)
    listener = Listener()
    reader.found.connect(listener.one)
    reader.reached.connect(listener.one)
    with qtbot.waitSignal(reader.reached):
        reader.launch()
    assert listener.heard == [([1],), (Milestone("scanned"),)]
    assert reader.shut_down()


def test_reader_delivers_what_went_wrong(qtbot: QtBot) -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise OSError("drive gone")

    reader = StreamReader(items)
    with qtbot.waitSignal(reader.failed) as blocker:
        reader.launch()
    assert blocker.args is not None
    assert isinstance(blocker.args[0], OSError)
    assert reader.shut_down()


def test_reader_stops_while_it_waits_for_acknowledgement(qtbot: QtBot) -> None:
    reader = StreamReader(lambda: (number for number in range(100)), batch=1, in_flight=1)
    with qtbot.waitSignal(reader.found):
        reader.launch()
    assert reader.shut_down(timeout_ms=1000)


@pytest.fixture
def loader() -> Iterator[ImageLoader]:
    loader = ImageLoader()
    yield loader
    assert loader.shut_down()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    PillowImage.fromarray(np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)).save(path)
    return path


def test_loader_decodes_an_image_and_a_thumbnail(loader: ImageLoader, picture: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(loader.loaded) as blocker:
        loader.request(LoadRequest(1, Load.SHOW, picture))
    assert blocker.args is not None
    assert blocker.args[1].pyramid.image.shape == (64, 32)
    with qtbot.waitSignal(loader.loaded) as blocker:
        loader.request(LoadRequest(1, Load.THUMBNAIL, picture, side=16))
    assert blocker.args is not None
    assert blocker.args[1].shape == (16, 8, 3)


def test_loader_delivers_a_file_that_cannot_be_read(loader: ImageLoader, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with qtbot.waitSignal(loader.failed) as blocker:
        loader.request(LoadRequest(1, Load.SHOW, tmp_path / "text.png"))
    assert blocker.args is not None
    assert isinstance(blocker.args[1], ImageError)


def test_loader_shows_first_and_forgets_the_oldest_thumbnails(picture: Path, qtbot: QtBot) -> None:
    loader = ImageLoader(waiting=3)
    listener = Listener()
    loader.loaded.connect(listener.two)
    loader.launch = lambda: None  # type: ignore[method-assign]  # held until all requests are in
    for image_id in range(4):
        loader.request(LoadRequest(image_id, Load.THUMBNAIL, picture, side=8))
    loader.request(LoadRequest(7, Load.SHOW, picture))
    loader.request(LoadRequest(8, Load.SHOW, picture))  # the person has moved on
    with qtbot.waitSignals([loader.loaded] * 3):
        Worker.launch(loader)
    assert [wanted.image_id for wanted, _ in listener.heard] == [8, 3, 2]
    assert loader.shut_down()
