"""The threshold is dragged, everything is decided anew at once, and Ctrl+Z takes it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sessions import press, stroke, train, until

from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def test_threshold_drag_and_undo(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    project = train(session, qtbot, tmp_path)
    page = window.workspace
    assert page is not None
    histogram = page.gate.histogram
    until(qtbot, lambda: page.gate.effect.text().startswith("Accepts"))
    before, waiting = project.settings.threshold, project.counts().queued
    y = histogram.height() // 2

    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(histogram.width() // 2, y))
    for x in range(histogram.width() // 2, 8, -4):
        QTest.mouseMove(histogram, QPoint(x, y))
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=QPoint(8, y))
    until(qtbot, lambda: project.settings.threshold < 0.1)
    assert project.counts().queued < waiting
    until(qtbot, lambda: page.gallery.queue.model.rowCount() == project.counts().queued)

    press(page.canvas, "Ctrl+Z")
    assert project.settings.threshold == before
    until(qtbot, lambda: project.counts().queued == waiting)

    histogram.setFocus()
    QTest.keyClick(histogram, Qt.Key.Key_Right)
    until(qtbot, lambda: project.settings.threshold == pytest.approx(before + 0.01))
    until(qtbot, lambda: session.editor is not None)
    stroke(page.canvas)
    press(page.canvas, "Ctrl+Z")
    assert project.settings.threshold == pytest.approx(before + 0.01), "a stroke came after: undo means the stroke"
