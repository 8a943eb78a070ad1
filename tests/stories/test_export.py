"""An export runs beside the work, can be stopped without a trace, and is noted in the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from sessions import press, stroke, train, until

from labeler.records import Progress
from labeler.ui.dialogs import ExportDialog
from labeler.ui.window import MainWindow
from labeler.ui.wording import seconds_left

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def test_export_while_painting(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    project = train(session, qtbot, tmp_path)
    page = window.workspace
    assert page is not None
    until(qtbot, lambda: window.figures.counts.accepted > 0)
    window.show_export()
    dialog = window.findChild(ExportDialog)
    assert dialog is not None
    dialog.target.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(session.exported, timeout=20_000) as exported:
        dialog.accept()
        assert window.strip.work.isVisibleTo(window.strip)
        stroke(page.canvas)
        assert session.editor is not None
        assert session.editor.mask.any()

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    counts = project.counts()
    assert manifest["images"] == counts.labelled + counts.accepted == exported.args[0].images
    assert project.events(kind="exported")[0].payload["images"] == manifest["images"]
    assert not window.strip.work.isVisibleTo(window.strip)
    with qtbot.waitActive(window):
        window.activateWindow()  # the offscreen platform has no window manager to do it
    with qtbot.waitSignal(session.committed):
        press(page.canvas, "Ctrl+Return")


def test_stopped_export_leaves_no_trace(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    train(session, qtbot, tmp_path)
    before = sorted(tmp_path.iterdir())

    session.export(tmp_path / "out", "png")
    window.strip.stop_requested.emit()

    assert sorted(tmp_path.iterdir()) == before
    assert not window.strip.work.isVisibleTo(window.strip)


def test_estimate_waits_until_there_is_something_to_go_by() -> None:
    assert seconds_left(Progress("writing", 1, 100), 5.0) == 0
    assert seconds_left(Progress("writing", 50, 100), 0.2) == 0
    assert seconds_left(Progress("writing", 25, 100), 10.0) == pytest.approx(30)
