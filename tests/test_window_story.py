"""One person's story in the real window with the real session on a small real project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sessions import FakeEngine, make_images

from labeler.project import Project
from labeler.records import ImageState
from labeler.settings import Preferences, Settings
from labeler.ui.dialogs import ExportDialog, ScanDialog
from labeler.ui.session import Session
from labeler.ui.theme import theme
from labeler.ui.window import MainWindow
from labeler.ui.workspace import Workspace

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

IMAGES = 8


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    theme.apply("light", 1.0)
    session = Session(FakeEngine())
    window = MainWindow(session, Preferences())
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    yield window
    window.close()
    assert session.shut_down()


def open_folder(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> Workspace:
    """Drop a folder, read the summary, create the project, wait for the first image."""
    folder = make_images(tmp_path / "images", IMAGES)
    Project.create(
        tmp_path / "project",
        settings=Settings(
            threshold=0.35, first_labels=3, holdout_every=3, debounce_s=0, retrain_labels=2, long_steps=0
        ),
    ).close()
    window.show_scan(folder)
    dialog = window.findChild(ScanDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.summary.done, timeout=5000)
    assert dialog.summary.images == IMAGES
    dialog.target.setText(str(tmp_path / "project"))
    with qtbot.waitActive(window):
        dialog.accept()
        window.activateWindow()  # the offscreen platform has no window manager to do it
    session = window.session
    qtbot.waitUntil(lambda: session.editor is not None and len(session.columns) == IMAGES, timeout=5000)
    assert window.workspace is not None
    return window.workspace


def stroke(page: Workspace) -> None:
    """Paint with the mouse across the middle of the image."""
    canvas = page.canvas
    centre = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=centre)
    for step in range(1, 6):
        QTest.mouseMove(canvas, centre + QPoint(8 * step, 5 * step))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=centre + QPoint(40, 25))


def press(page: Workspace, key: str) -> None:
    """Press a key on the canvas."""
    page.canvas.setFocus()
    pressed = QKeySequence(key)[0]
    QTest.keyClick(page.canvas, pressed.key(), pressed.keyboardModifiers())


def label(window: MainWindow, qtbot: QtBot, count: int) -> None:
    """Paint and accept the images in front."""
    session, page = window.session, window.workspace
    assert page is not None
    for _ in range(count):
        qtbot.waitUntil(lambda: session.editor is not None, timeout=5000)
        stroke(page)
        with qtbot.waitSignal(session.committed):
            press(page, "Ctrl+Return")


def test_from_a_dropped_folder_to_an_export(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    assert session.project is not None
    assert page.guide.text() == "Label 3 images for the first model · 0/3"

    label(window, qtbot, 3)
    qtbot.waitUntil(lambda: session.project.champion() is not None, timeout=10_000)
    qtbot.waitUntil(lambda: session.project.counts().pool == 0, timeout=10_000)

    qtbot.waitUntil(lambda: window.strip.texts()["model"].startswith("Model v1"), timeout=5000)
    assert page.guide.text() == ""
    counts = session.project.counts()
    assert counts.labelled == 3
    assert counts.accepted >= 1
    qtbot.waitUntil(lambda: page.gallery.queue.model.rowCount() == counts.queued, timeout=5000)

    window.show_export()
    dialog = window.findChild(ExportDialog)
    assert dialog is not None
    dialog.target.setText(str(tmp_path / "export"))
    with qtbot.waitSignal(session.exported, timeout=10_000):
        dialog.accept()
    manifest = json.loads(next((tmp_path / "export").glob("manifest*.json")).read_text("utf-8"))
    assert manifest


def test_undo_revert_and_threshold_in_the_window(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    assert session.editor is not None
    assert not window.actions_by_name["undo"].isEnabled()
    stroke(page)
    qtbot.waitUntil(window.actions_by_name["undo"].isEnabled)
    painted = session.editor.mask.copy()
    assert painted.any()

    press(page, "Ctrl+Z")
    assert not session.editor.mask.any()
    press(page, "Ctrl+Y")
    assert np.array_equal(session.editor.mask, painted)

    page.gate.threshold_requested.emit(0.6)
    assert session.project is not None
    assert session.project.settings.threshold == 0.6
    qtbot.waitUntil(page.gate.undo.isEnabled)
    page.gate.undo.click()
    assert session.project.settings.threshold == 0.35


def test_a_draft_is_there_again_after_the_window_was_closed(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    stroke(page)
    assert session.editor is not None
    drawn, image_id = session.editor.mask.copy(), session.current

    window.actions_by_name["close_project"].trigger()
    assert window.start.isVisible()
    window.start.recent_requested.emit(tmp_path / "project")
    qtbot.waitUntil(lambda: session.editor is not None, timeout=5000)

    assert session.current == image_id
    assert np.array_equal(session.editor.mask, drawn)


def test_a_key_in_the_middle_of_a_stroke_keeps_the_stroke(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    canvas, image_id = page.canvas, session.current
    centre = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=centre)
    QTest.mouseMove(canvas, centre + QPoint(60, 0))  # no event loop since: the point waits for the next frame

    with qtbot.waitSignal(session.committed):
        press(page, "Ctrl+Return")

    assert session.project is not None
    mask = session.project.label_mask(image_id)
    x, y = canvas._view.to_image(QPointF(centre + QPoint(60, 0)))
    assert mask[int(y), int(x)] == 1


def test_excluded_image_can_be_restored(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    image_id = session.current

    press(page, "Ctrl+Del")
    assert session.record(image_id).state is ImageState.EXCLUDED
    session.show_image(image_id)
    qtbot.waitUntil(window.actions_by_name["restore"].isEnabled, timeout=5000)
    window.actions_by_name["restore"].trigger()

    assert session.record(image_id).state is not ImageState.EXCLUDED
    qtbot.waitUntil(window.actions_by_name["exclude"].isVisible, timeout=5000)
