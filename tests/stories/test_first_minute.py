"""The first minute: a folder is dropped, its summary read, a project made, the first image painted."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from pytestqt.qtbot import QtBot
from sessions import make_images, press, stroke, until

from labeler.ui.dialogs import ScanDialog
from labeler.ui.opening import projects_folder
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def drop(window: MainWindow, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, left, none))


def test_first_minute(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 5)
    (folder / "broken.png").write_bytes(b"no image")
    before = sorted(folder.iterdir())
    assert window.start.isVisible()

    drop(window, folder / "000.png")
    dialog = window.findChild(ScanDialog)
    assert dialog is not None
    until(qtbot, lambda: dialog.summary.done)
    assert (dialog.summary.images, len(dialog.summary.unreadable)) == (6, 1)
    assert not projects_folder().exists(), "the summary comes before anything is written"
    with qtbot.waitActive(window):
        dialog.accept()
        window.activateWindow()

    session = window.session
    until(qtbot, lambda: session.editor is not None and len(session.columns) == 6)
    page = window.workspace
    assert page is not None
    assert page.guide.text() == "Label 8 images for the first model · 0/8"
    until(qtbot, lambda: window.strip.texts().get("unreadable") == "1 unreadable")
    stroke(page.canvas)
    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Ctrl+Return")
    until(qtbot, lambda: page.guide.text() == "Label 8 images for the first model · 1/8")

    assert sorted(folder.iterdir()) == before, "nothing is ever written into the folder of the images"
    window.actions_by_name["close_project"].trigger()
    assert window.start.isVisible()
    assert window.preferences.recent, "the project is offered for the next time"
