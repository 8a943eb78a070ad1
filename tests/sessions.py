"""What the tests of session and window share: a fake engine at the seam where computing would be slow, and steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeSession
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from labeler.files import sha256_of
from labeler.inference import PredictionJob, store
from labeler.project import Project
from labeler.records import Image, Prediction, PredictionRecord, Progress
from labeler.settings import Preferences, Settings
from labeler.training import RoundResult, TrainingJob
from labeler.ui.engine import Engine
from labeler.ui.session import Session
from labeler.ui.theme import theme
from labeler.ui.window import MainWindow
from labeler.ui.worker import running

SIDE = 48


def make_images(folder: Path, count: int, *, first: int = 0) -> Path:
    """A folder of small pictures, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def square(*, side: int = 10) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A mask with one square."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[5 : 5 + side, 5 : 5 + side] = 1
    return mask


class FakeEngine(Engine):
    """Answers at once: image n has the confidence n / 10 (modulo 1), every round gives the IoUs it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[TrainingJob] = []
        self.holdout_iou = 0.9
        self.shift = 0  # of the confidences: the next model thinks otherwise
        self.train_steps = 3
        self.train_error: Exception | None = None
        self.predict_errors: dict[int, Exception] = {}  # by model version
        self.gate = threading.Event()  # a round waits for it before its last step
        self.gate.set()
        self.closed: list[str] = []
        self.heats: list[int] = []  # versions asked for a map of doubt
        self.views = threading.Event()  # a map waits for it
        self.views.set()

    def warm_up(self) -> Iterator[None]:  # type: ignore[override]
        yield None

    def predict(self, job: PredictionJob, *, threads: int) -> Generator[list[PredictionRecord], None, None]:  # type: ignore[override]
        if job.version in self.predict_errors:
            raise self.predict_errors[job.version]
        for item in job.items:
            mask = square()
            confidence = (item.image_id + self.shift) % 10 / 10
            answer = Prediction(mask, (mask * 200).astype(np.uint8), confidence, confidence, 1.0, float(mask.mean()))
            yield [store(job.folder, item.image_id, job.version, answer)]

    def heat(self, job: PredictionJob, image: Image, *, threads: int) -> Generator[None, None, NDArray[np.uint8]]:
        self.heats.append(job.version)
        if job.version in self.predict_errors:
            raise self.predict_errors[job.version]
        while not self.views.wait(0.002):
            yield None
        return np.full(image.shape[:2], job.version, np.uint8)

    def train(self, job: TrainingJob, *, threads: int) -> Generator[Progress | None, None, RoundResult]:
        self.rounds.append(job)
        begun = time.monotonic()
        try:
            for step in range(self.train_steps):
                yield Progress("training", step + 1, self.train_steps, {"loss": 1.0 / (step + 1)})
            while not self.gate.wait(0.002):
                yield None
            if self.train_error is not None:
                raise self.train_error
        except GeneratorExit:
            self.closed.append("closed")
            raise
        job.output.write_bytes(b"weights of %d" % job.version)
        return RoundResult(
            path=job.output,
            sha256=sha256_of(job.output.read_bytes()),
            core_iou=0.95,
            core_count=len(job.core),
            judged=tuple(sample.mask_path for sample in job.holdout),
            challenger_ious=tuple(self.holdout_iou for _ in job.holdout),
            champion_ious=None if job.champion is None else tuple(0.8 for _ in job.holdout),
            steps=self.train_steps,
            seconds=time.monotonic() - begun,
        )


def until(qtbot: QtBot, holds: Callable[[], object]) -> None:
    """Let the session work until something holds."""
    qtbot.waitUntil(holds, timeout=10_000)


def start(session: Session, qtbot: QtBot, tmp_path: Path, count: int = 6, **settings: object) -> Path:
    """A project over ``count`` images, opened, with the first image on the desk."""
    values: dict[str, object] = {
        "long_steps": 0,
        "first_labels": 3,
        "holdout_every": 3,
        "debounce_s": 0,
        "retrain_labels": 2,
    }
    folder = make_images(tmp_path / "images", count)
    project = tmp_path / "project"
    Project.create(project, settings=Settings(**(values | settings)), sources=[str(folder)]).close()
    session.open_project(project)
    until(qtbot, lambda: session.editor is not None and len(session.columns) == count)
    return project


def paint(session: Session, *, value: int = 1, at: float = 20.0) -> None:
    """A stroke, as the canvas makes it."""
    assert session.editor is not None
    session.editor.begin_stroke(value=value, diameter=6)
    session.editor.extend_stroke([(at, at), (at + 10, at)])
    patch = session.editor.end_stroke()
    assert patch is not None
    session.keep_patch(patch)


def label(session: Session, qtbot: QtBot, count: int) -> list[int]:
    """Paint and accept ``count`` images; their ids."""
    done = []
    for _ in range(count):
        until(qtbot, lambda: session.editor is not None)
        done.append(session.current)
        paint(session)
        session.commit()
    return done


def train(session: Session, qtbot: QtBot, tmp_path: Path, count: int = 12, **settings: object) -> Project:
    """A project with a first model and its predictions, and an image that waits on the desk."""
    start(session, qtbot, tmp_path, count, threshold=0.55, **settings)
    label(session, qtbot, 3)
    project = session.project
    assert project is not None
    until(qtbot, lambda: project.champion() is not None and project.counts().pool == 0)
    until(qtbot, lambda: session.editor is not None and session.prediction() is not None)
    return project


def end(session: Session, engine: FakeEngine) -> None:
    """Close everything; no thread may be left."""
    engine.gate.set()
    ended = session.shut_down()
    left = running()
    for worker in left:
        worker.shut_down()
    assert ended
    assert not left, f"threads left alive: {left}"


def open_window(qtbot: QtBot, session: Session | FakeSession) -> MainWindow:
    """The real window on a session, shown and active."""
    theme.apply("light", 1.0)
    window = MainWindow(session, Preferences())
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def press(target: QWidget, key: str) -> None:
    """Press a key or a chord on a widget that has the focus."""
    target.setFocus()
    pressed = QKeySequence(key)[0]
    QTest.keyClick(target, pressed.key(), pressed.keyboardModifiers())


def stroke(canvas: QWidget, *, by: QPoint = QPoint(40, 25)) -> None:  # noqa: B008 - never changed
    """Paint with the mouse from the middle of the canvas."""
    centre = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=centre)
    for step in range(1, 6):
        QTest.mouseMove(canvas, centre + by * step / 5)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=centre + by)
