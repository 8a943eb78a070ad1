"""Undo and redo across images and a restart; undo of the threshold where that was the last thing done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import press, start, stroke, until

from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def test_undo_across_images_and_a_restart(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    folder = start(session, qtbot, tmp_path)
    page = window.workspace
    assert page is not None
    assert session.editor is not None
    first = session.current
    stroke(page.canvas)
    one = session.editor.mask.copy()
    press(page.canvas, "Shift+H")
    press(page.canvas, "Ctrl+I")
    two = session.editor.mask.copy()
    assert not np.array_equal(one, two)

    press(page.canvas, "D")
    until(qtbot, lambda: session.editor is not None and session.current != first)
    assert not window.actions_by_name["undo"].isEnabled()
    press(page.canvas, "A")
    until(qtbot, lambda: session.editor is not None and session.current == first)
    press(page.canvas, "Ctrl+Z")
    assert np.array_equal(session.editor.mask, one)
    press(page.canvas, "Ctrl+Shift+Z")
    assert np.array_equal(session.editor.mask, two)

    window.actions_by_name["close_project"].trigger()
    session.open_project(folder)
    until(qtbot, lambda: session.editor is not None and session.current == first)
    assert np.array_equal(session.editor.mask, two)
    press(page.canvas, "Ctrl+Z")
    press(page.canvas, "Ctrl+Z")
    assert not session.editor.mask.any()
    press(page.canvas, "Ctrl+Y")
    press(page.canvas, "Ctrl+Y")
    assert np.array_equal(session.editor.mask, two)
