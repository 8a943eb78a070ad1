"""Accepted masks are audited blind; a wrong one is mended on the canvas, and the audits go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sessions import press, train, until

from labeler.records import ImageState
from labeler.ui.auditing import AuditDialog
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore(
    "propagateSizeHints", "does not support raise"
)  # the offscreen platform has neither


def test_audit(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    project = train(session, qtbot, tmp_path, 20, audit_share=1.0)
    page = window.workspace
    assert page is not None
    until(qtbot, lambda: project.accepts.count_pending() >= 3)
    waiting = project.accepts.count_pending()

    press(page.canvas, "Ctrl+U")
    dialog = window.findChild(AuditDialog)
    assert dialog is not None
    assert dialog.case is not None
    first = dialog.case.image_id
    assert project.image(first).state is ImageState.ACCEPTED
    dialog.right.click()
    assert project.accepts.count_pending() == waiting - 1
    assert dialog.case is not None
    wrong = dialog.case.image_id
    assert wrong != first
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert project.accepts.count_pending() == waiting - 1, "who leaves has not answered"

    window.actions_by_name["audit"].trigger()
    assert dialog.case is not None
    wrong = dialog.case.image_id
    dialog.wrong.click()
    assert not dialog.isVisible()
    until(qtbot, lambda: session.current == wrong and session.editor is not None)
    # By the menu: the offscreen platform gives no window the keyboard back when a dialog goes.
    window.actions_by_name["invert"].trigger()
    with qtbot.waitSignal(session.committed):
        window.actions_by_name["commit"].trigger()
    assert project.image(wrong).state is ImageState.LABELLED
    until(qtbot, dialog.isVisible)
    assert dialog.case is not None
    assert dialog.case.image_id not in (first, wrong)
