"""How long the event loop stalls while a person paints: idle, while a round trains, while the stream is predicted.

    python tests/benchmarks/stall.py [--seconds 8] [--width 16] [--side 128]

The real window, offscreen, with the real session. A timer of 5 ms notes its gaps; a stall is a gap less 5 ms. The goal
is a 99th percentile of 16 ms and a maximum of 100 ms.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QT_LOGGING_RULES"] = "*.warning=false"

import numpy as np
from PIL import Image as PillowImage
from PySide6.QtCore import QElapsedTimer, QEventLoop, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from labeler import checkpoint, ships
from labeler.checkpoint import Checkpoint
from labeler.loop import Loop
from labeler.networks import NetworkConfig, ResidualUNet
from labeler.project import Project
from labeler.settings import Preferences, Settings
from labeler.stream import parse_source, scan
from labeler.ui.app import application, prepare_process
from labeler.ui.canvas import Canvas
from labeler.ui.session import Session
from labeler.ui.window import MainWindow

TICK_MS = 5
GOAL_P99_MS, GOAL_MAX_MS = 16.0, 100.0
LABELS = 12
STROKE = 40  # moves of one stroke


class Stalls(QObject):
    """Notes the gaps of a timer."""

    def __init__(self) -> None:
        super().__init__()
        self._gaps: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._note)

    def start(self) -> None:
        self._gaps.clear()
        self._clock.start()
        self._timer.start()

    def stop(self) -> np.ndarray:
        """Stalls in ms."""
        self._timer.stop()
        return np.maximum(np.array(self._gaps) - TICK_MS, 0)

    def _note(self) -> None:
        self._gaps.append(self._clock.nsecsElapsed() / 1e6)
        self._clock.restart()


class Painter(QObject):
    """A hand that draws circles on the canvas, a move every 16 ms."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self._canvas = canvas
        self._moves = 0
        self._timer = QTimer(self, interval=16)
        self._timer.timeout.connect(self._move)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        self._send(QMouseEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton)
        self._moves = 0

    def _move(self) -> None:
        step = self._moves % STROKE
        if step == 0:
            self._send(QMouseEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton)
        self._send(QMouseEvent.Type.MouseMove, Qt.MouseButton.LeftButton)
        if step == STROKE - 1:
            self._send(QMouseEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton)
        self._moves += 1

    def _send(self, kind: QMouseEvent.Type, buttons: Qt.MouseButton) -> None:
        turn, size = self._moves / 15, self._canvas.size()
        reach = min(size.width(), size.height()) * (0.1 + 0.25 * abs(math.sin(self._moves / 200)))
        at = QPointF(size.width() / 2 + reach * math.cos(turn), size.height() / 2 + reach * math.sin(turn))
        moving = kind is QMouseEvent.Type.MouseMove
        button = Qt.MouseButton.NoButton if moving else Qt.MouseButton.LeftButton
        event = QMouseEvent(kind, at, self._canvas.mapToGlobal(at), button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self._canvas, event)


def make_project(folder: Path, *, images: int, side: int, width: int) -> Path:
    """A project of ships with some labels and a model that no image was predicted with yet."""
    pictures = folder / "images"
    pictures.mkdir()
    masks = []
    for number, (image, mask) in enumerate(ships.pairs(images, seed=3, config=ships.ShipsConfig(size=side))):
        PillowImage.fromarray(ships.as_uint8(image)).save(pictures / f"{number:05d}.png", compress_level=1)
        masks.append(mask)
    settings = Settings(
        base_width=width, steps=1_000_000, first_steps=1_000_000, retrain_automatically=False, threshold=1.0
    )
    with Project.create(folder / "project", settings=settings, sources=[str(pictures)]) as project:
        project.add(list(scan(parse_source(str(pictures)))))
        loop = Loop(project)
        for record in project.images()[:LABELS]:
            loop.commit(record.image_id, masks[int(record.path.stem)])
        return project.folder


def make_model(path: Path, width: int) -> Path:
    """An untrained net: what it says does not matter here."""
    checkpoint.save(path, Checkpoint.of(ResidualUNet(NetworkConfig(width, 3, 1, 0.0)), {}))
    return path


def wait(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("the window did not get there")
        wait(0.05)


def report(name: str, stalls: np.ndarray, what: str = "") -> bool:
    """One line; whether the goals are met."""
    p50, p99 = np.percentile(stalls, [50, 99])
    verdict = "ok" if p99 <= GOAL_P99_MS and stalls.max() <= GOAL_MAX_MS else "over"
    print(f"{name:<28} p50 {p50:6.2f}  p99 {p99:6.2f}  max {stalls.max():7.2f} ms  {verdict:<4} {what}", flush=True)
    return verdict == "ok"


def measure(session: Session, window: MainWindow, seconds: float, model: Path) -> list[str]:
    """Print all phases; the names of those that miss a goal."""
    stalls, missed = Stalls(), list[str]()
    assert window.workspace is not None
    painter = Painter(window.workspace.canvas)

    def phase(name: str, *, paints: bool, what: Callable[[], str] = str) -> None:
        if paints:
            painter.start()
        stalls.start()
        wait(seconds)
        found = stalls.stop()
        painter.stop()
        if not report(name, found, what()):
            missed.append(f"stall: {name}")

    phase("idle", paints=False)
    phase("painting", paints=True)
    progressed: list[object] = []
    session.round_progressed.connect(progressed.append)
    session.start_round()
    wait_until(lambda: any(step.phase == "training" for step in progressed))
    first = progressed[-1].done
    phase("a round trains", paints=False)
    phase(
        "a round trains, painting",
        paints=True,
        what=lambda: f"{(progressed[-1].done - first) / (2 * seconds):.1f} steps/s",
    )
    session.stop_round()
    wait_until(lambda: not session.status().is_training)
    session.loop.adopt_model(model)
    session.rollback(session.project.champion().version)
    wait_until(lambda: (session.columns.column("version") >= 0).any())
    done = session.project.counts().queued
    phase(
        "the stream is predicted, painting",
        paints=True,
        what=lambda: f"{(session.project.counts().queued - done) / seconds:.0f} images/s",
    )
    return missed


def run(seconds: float, *, images: int = 1500, side: int = 128, width: int = 16) -> list[str]:
    """Measure all phases with the real window; the names of those that miss a goal."""
    with tempfile.TemporaryDirectory() as place:
        folder = make_project(Path(place), images=images, side=side, width=width)
        model = make_model(Path(place) / "net.safetensors", width)
        session = Session()
        window = MainWindow(session, Preferences())
        window.show()
        session.open_project(folder)
        wait_until(lambda: session.editor is not None)
        wait(1.0)
        print(f"{os.cpu_count()} cores, base width {width}, images {side} x {side}; goal p99 16 ms")
        try:
            missed = measure(session, window, seconds, model)
        finally:
            window.close()
            ended = session.shut_down()
    return missed if ended else [*missed, "a thread did not end"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase")
    parser.add_argument("--width", type=int, default=16, help="base width of the U-Net")
    parser.add_argument("--side", type=int, default=128, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=1500)
    chosen = parser.parse_args()
    prepare_process()
    app = application()
    missed = run(chosen.seconds, images=chosen.images, side=chosen.side, width=chosen.width)
    app.processEvents()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
