"""One person's story in the real window with the real session on a small real project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sessions import make_images, press, stroke

from labeler import images
from labeler.project import Project
from labeler.records import ImageState
from labeler.settings import Settings
from labeler.ui.dialogs import ScanDialog
from labeler.ui.window import MainWindow
from labeler.ui.workspace import Workspace

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

IMAGES = 8
PATIENCE_MS = 20_000  # on a machine that does other things


def open_folder(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> Workspace:
    """Drop a folder, read the summary, create the project, wait for the first image."""
    folder = make_images(tmp_path / "images", IMAGES)
    Project.create(
        tmp_path / "project",
        settings=Settings(
            threshold=0.35,
            first_labels=3,
            holdout_every=3,
            debounce_s=0,
            retrain_labels=2,
            long_steps=0,
            probe_share=0.0,
        ),
    ).close()
    window.show_scan(folder)
    dialog = window.findChild(ScanDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.summary.done, timeout=PATIENCE_MS)
    assert dialog.summary.images == IMAGES
    dialog.target.setText(str(tmp_path / "project"))
    with qtbot.waitActive(window):
        dialog.accept()
        window.activateWindow()  # the offscreen platform has no window manager to do it
    session = window.session
    qtbot.waitUntil(lambda: session.editor is not None and len(session.columns) == IMAGES, timeout=PATIENCE_MS)
    assert window.workspace is not None
    return window.workspace


def test_images_of_another_folder_are_added_to_the_project(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    open_folder(window, qtbot, tmp_path)
    session = window.session
    assert session.project is not None
    other = tmp_path / "other"
    other.mkdir()
    # Of another shape: bytes that are known already would be a duplicate.
    (other / "more.png").write_bytes(images.encode(np.full((40, 56), 90, np.uint8)))
    assert window.actions_by_name["add_images"].isEnabled()
    window.show_scan(other, more=True)
    dialog = next(found for found in window.findChildren(ScanDialog) if found.isVisible())
    qtbot.waitUntil(lambda: dialog.summary.done, timeout=PATIENCE_MS)
    dialog.add_button.click()
    qtbot.waitUntil(lambda: len(session.columns) == IMAGES + 1, timeout=PATIENCE_MS)
    assert session.project.sources == (str(tmp_path / "images"), str(other))
    (other / "later.png").write_bytes(images.encode(np.full((40, 57), 90, np.uint8)))  # watched, too
    qtbot.waitUntil(lambda: len(session.columns) == IMAGES + 2, timeout=PATIENCE_MS)

    window.session.add_images(tmp_path)  # in which the project lies
    assert str(tmp_path) not in session.project.sources


def test_a_draft_is_there_again_after_the_window_was_closed(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    stroke(page.canvas)
    assert session.editor is not None
    drawn, image_id = session.editor.mask.copy(), session.current

    window.actions_by_name["close_project"].trigger()
    assert window.start.isVisible()
    window.start.recent_requested.emit(tmp_path / "project")
    qtbot.waitUntil(lambda: session.editor is not None, timeout=PATIENCE_MS)

    assert session.current == image_id
    assert np.array_equal(session.editor.mask, drawn)


def test_a_key_in_the_middle_of_a_stroke_keeps_the_stroke(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    canvas, image_id = page.canvas, session.current
    centre = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=centre)
    QTest.mouseMove(canvas, centre + QPoint(60, 0))  # no event loop since: the point waits for the next frame

    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Ctrl+Return")

    assert session.project is not None
    mask = session.project.label_mask(image_id)
    x, y = canvas._view.to_image(QPointF(centre + QPoint(60, 0)))
    assert mask[int(y), int(x)] == 1


def test_an_image_that_cannot_be_shown_leaves_none_in_its_place(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    (tmp_path / "images" / "empty.png").write_bytes(b"")
    qtbot.waitUntil(lambda: len(session.columns) == IMAGES + 1, timeout=PATIENCE_MS)
    by_name = {session.record(int(image_id)).path.name: int(image_id) for image_id in session.columns.ids}
    session.show_image(by_name["003.png"])
    qtbot.waitUntil(lambda: session.editor is not None, timeout=PATIENCE_MS)
    assert page.canvas.has_image

    session.show_image(by_name["empty.png"])
    assert not page.canvas.has_image, "the last image would be taken for this one"
    assert "is empty" in page.canvas.empty_text
    assert page.banner.isHidden(), "the panel says why, and nothing has failed"

    session.show_image(by_name["003.png"])
    qtbot.waitUntil(lambda: page.canvas.has_image, timeout=PATIENCE_MS)


def test_excluded_image_can_be_restored(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    page, session = open_folder(window, qtbot, tmp_path), window.session
    image_id = session.current

    press(page.canvas, "Ctrl+Del")
    assert session.record(image_id).state is ImageState.EXCLUDED
    session.show_image(image_id)
    qtbot.waitUntil(window.actions_by_name["restore"].isEnabled, timeout=PATIENCE_MS)
    window.actions_by_name["restore"].trigger()

    assert session.record(image_id).state is not ImageState.EXCLUDED
    qtbot.waitUntil(window.actions_by_name["exclude"].isVisible, timeout=PATIENCE_MS)
