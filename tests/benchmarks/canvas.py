"""Time from a brush event to its painted pixels at 4096x4096: p50 and p95 against the budget of 16 ms.

    python tests/benchmarks/canvas.py [--strokes 40] [--busy]

``--busy`` multiplies matrices on another thread meanwhile, as a round that trains would.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPaintEvent
from PySide6.QtWidgets import QApplication

from labeler.editing import MaskEditor
from labeler.ui.canvas import Canvas

BUDGET_MS = 16.0
SIDE = 4096
DIAMETERS = (8, 64, 512)
POINTS = 24  # of one stroke
_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class TimedCanvas(Canvas):
    """Notes when it was last painted."""

    painted_at = 0.0

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        self.painted_at = time.perf_counter()


def main() -> int:
    """Print one line per zoom, overlay and diameter; exit code 1 where a p95 is over the budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=40)
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    app = QApplication([])
    canvas = TimedCanvas()
    canvas.resize(1280, 800)
    canvas.show()
    stop = threading.Event()
    worker = threading.Thread(target=multiply, args=(stop,))
    if options.busy:
        worker.start()
    print(
        f"{'zoom':>6} {'overlay':>8} {'diameter':>8} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'release':>8}  budget"
    )
    within = True
    try:
        for zoom, overlay in ((None, "fill"), (1.0, "fill"), (1.0, "contour"), (3.0, "fill")):
            canvas.overlay = overlay
            for diameter in DIAMETERS:
                within &= measure(canvas, zoom=zoom, diameter=diameter, strokes=options.strokes)
    finally:
        stop.set()
        if worker.is_alive():
            worker.join()
    canvas.close()
    app.quit()
    return 0 if within else 1


def measure(canvas: TimedCanvas, *, zoom: float | None, diameter: int, strokes: int) -> bool:
    """Draw strokes like a hand does and print their latencies; whether the p95 is within the budget."""
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 2, (64, 64), np.uint8), np.ones((64, 64), np.uint8))
    rgb = np.broadcast_to(rng.integers(0, 256, (SIDE, SIDE, 1), np.uint8), (SIDE, SIDE, 3)).copy()
    canvas.show_image(rgb, MaskEditor(mask), None, rgb=rgb)
    if zoom is not None:
        canvas.zoom = zoom
    canvas.brush_diameter = diameter
    QCoreApplication.processEvents()
    moves, releases = [], []
    for number in range(strokes):
        canvas.class_value = number % 2
        at = rng.uniform((80, 80), (1200, 720))
        send(canvas, QEvent.Type.MouseButtonPress, at, _LEFT)
        heading = rng.uniform(0, 2 * np.pi)
        for _ in range(POINTS):
            heading += rng.normal(0, 0.4)
            at = np.clip(at + 14 * np.array((np.cos(heading), np.sin(heading))), 5, (1275, 795))
            moves.append(send(canvas, QEvent.Type.MouseMove, at, _LEFT))
        releases.append(send(canvas, QEvent.Type.MouseButtonRelease, at, _NONE))
    p50, p95, worst = np.percentile(moves, (50, 95, 100))
    verdict = "ok" if p95 <= BUDGET_MS else "OVER"
    print(
        f"{canvas.zoom:6.0%} {canvas.overlay:>8} {diameter:8d} {p50:8.2f} {p95:8.2f} {worst:8.2f} "
        f"{max(releases):8.2f}  {verdict}"
    )
    return verdict == "ok"


def send(canvas: TimedCanvas, kind: QEvent.Type, at: np.ndarray, held: Qt.MouseButton) -> float:
    """Deliver one mouse event and wait for the paint that follows; milliseconds between the two."""
    button = _NONE if kind == QEvent.Type.MouseMove else _LEFT
    event = QMouseEvent(kind, QPointF(*at), QPointF(*at), button, held, Qt.KeyboardModifier.NoModifier)
    sent = time.perf_counter()
    QCoreApplication.sendEvent(canvas, event)
    while canvas.painted_at < sent:
        QCoreApplication.processEvents()
        if time.perf_counter() - sent > 5:
            raise SystemExit("nothing was painted within 5 s")
    return 1000 * (canvas.painted_at - sent)


def multiply(stop: threading.Event) -> None:
    """Keep one processor busy outside the interpreter lock."""
    left = np.random.default_rng(0).normal(size=(700, 700)).astype(np.float32)
    while not stop.is_set():
        left @ left


if __name__ == "__main__":
    sys.exit(main())
