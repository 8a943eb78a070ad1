"""Keyboard only: from the start page to a labelled image, a filter, a command, a changed key."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QTabBar, QWidget
from pytestqt.qtbot import QtBot
from sessions import press, start, until

from labeler.records import ImageState
from labeler.ui.keys import KeyMapDialog
from labeler.ui.palette import CommandPalette
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def walk(window: MainWindow, steps: int = 60) -> list[QWidget]:
    """Every widget that Tab reaches, once."""
    reached: list[QWidget] = []
    for _ in range(steps):
        focus = QApplication.focusWidget()
        assert focus is not None
        if focus in reached:
            break
        reached.append(focus)
        QTest.keyClick(focus, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    return reached


def test_start_page_by_keyboard(window: MainWindow) -> None:
    window.start.entries[0].setFocus()

    reached = walk(window)

    assert all(entry in reached for entry in window.start.entries)
    assert all(widget.accessibleName() for widget in reached)


def test_every_part_of_the_window_is_reached_by_keyboard(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    start(window.session, qtbot, tmp_path)
    page = window.workspace
    assert page is not None
    until(qtbot, lambda: page.gallery.queue.model.rowCount() > 0)
    page.canvas.setFocus()

    reached = walk(window, 80)

    for part in (page.canvas, page.gallery.queue.view, page.gate.histogram, page.options.diameter):
        assert part in reached, [f"{type(widget).__name__} {widget.accessibleName()}" for widget in reached]
    assert any(isinstance(widget, QTabBar) for widget in reached)
    assert any(isinstance(widget, QComboBox) for widget in reached)


def test_label_filter_command_and_key_without_a_mouse(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    start(session, qtbot, tmp_path)
    page = window.workspace
    assert page is not None
    image_id = session.current
    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Return")  # an empty mask, untouched
    assert session.record(image_id).state is ImageState.LABELLED

    press(page.canvas, "Ctrl+Shift+P")
    until(
        qtbot, lambda: any(isinstance(w, CommandPalette) and w.isActiveWindow() for w in QApplication.topLevelWidgets())
    )
    palette = next(w for w in QApplication.topLevelWidgets() if isinstance(w, CommandPalette) and w.isVisible())
    QTest.keyClicks(palette.field, "report")
    assert palette.list.currentItem().text() == "Report"
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert page.stage.report is not None
    assert page.stage.currentWidget() is page.stage.report
    QTest.keyClick(page.stage.report, Qt.Key.Key_Escape)
    assert page.stage.currentWidget() is page.canvas

    page.gallery.setCurrentIndex(1)
    QTest.keyClicks(page.gallery.filters.search, "003")
    until(qtbot, lambda: page.gallery.gallery.model.rowCount() == 1)
    QTest.keyClick(page.gallery.gallery.view, Qt.Key.Key_Down)
    until(qtbot, lambda: session.record(session.current).path.name == "003.png" and session.editor is not None)

    window.show_keys()
    dialog = window.findChild(KeyMapDialog)
    assert dialog is not None
    dialog.rows["invert"].edit.setFocus()
    QTest.keyClick(dialog.rows["invert"].edit, Qt.Key.Key_J)
    until(qtbot, lambda: window.preferences.keys == {"invert": ("J",)})
    dialog.reject()
    assert window.actions_by_name["invert"].shortcuts() == [QKeySequence("J")]
    with qtbot.waitActive(window):
        window.activateWindow()
    assert session.editor is not None
    press(page.canvas, "J")
    assert session.editor.mask.all()
