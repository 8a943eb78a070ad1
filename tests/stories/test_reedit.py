"""A labelled image is found again, opened, changed and accepted; the old mask stays in its history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import press, start, stroke, until

from labeler.records import ImageState
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def test_reedit(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    start(session, qtbot, tmp_path, first_labels=100)
    page, project = window.workspace, session.project
    assert page is not None
    assert project is not None
    image_id = session.current
    stroke(page.canvas)
    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Ctrl+Return")
    first = project.label_mask(image_id)

    page.gallery.setCurrentIndex(1)
    states = page.gallery.filters.state
    states.setCurrentIndex(states.findData(ImageState.LABELLED))
    until(qtbot, lambda: page.gallery.gallery.model.rowCount() == 1)
    page.gallery.gallery.view.setCurrentIndex(page.gallery.gallery.model.index(0))
    until(qtbot, lambda: session.current == image_id and session.editor is not None)
    assert len(page.inspector.history.rows) == 1
    press(page.canvas, "Ctrl+I")
    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Ctrl+Return")
    assert np.array_equal(project.label_mask(image_id), 1 - first)

    session.show_image(image_id)
    until(qtbot, lambda: session.current == image_id and session.editor is not None)
    history = page.inspector.history
    assert len(history.rows) == 2
    history.taken.emit(next(version for version in session.versions() if version.number == 1))
    assert session.editor is not None
    assert np.array_equal(session.editor.mask, first)
    press(page.canvas, "Ctrl+Z")
    assert np.array_equal(session.editor.mask, 1 - first)
