"""Three labels, a first model, its queue, better labels, a second model, and what it changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from sessions import FakeEngine, press, start, stroke, until

from labeler.records import VersionStatus
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def label_by_hand(window: MainWindow, qtbot: QtBot, count: int) -> None:
    session, page = window.session, window.workspace
    assert page is not None
    for _ in range(count):
        until(qtbot, lambda: session.editor is not None)
        stroke(page.canvas)
        with qtbot.waitSignal(session.committed):
            press(page.canvas, "Ctrl+Return")


def test_label_train_publish(window: MainWindow, engine: FakeEngine, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    start(session, qtbot, tmp_path, 12, threshold=0.55)
    page, project = window.workspace, session.project
    assert page is not None
    assert project is not None

    label_by_hand(window, qtbot, 3)
    until(qtbot, lambda: project.champion() is not None and project.counts().pool == 0)
    until(qtbot, lambda: window.strip.texts()["model"].startswith("Model v1"))
    assert page.guide.text() == ""
    counts = project.counts()
    assert counts.accepted >= 1
    until(qtbot, lambda: page.gallery.queue.model.rowCount() == counts.queued)
    first = page.gallery.queue.model.id_at(0)
    assert all(project.image(first).confidence <= (record.confidence or 1) for record in project.images())

    engine.shift, engine.holdout_iou = 5, 0.95
    label_by_hand(window, qtbot, 2)
    until(qtbot, lambda: len(project.versions()) == 2)
    assert [version.status for version in project.versions()] == [VersionStatus.RETIRED, VersionStatus.CHAMPION]
    assert "0.950" in page.training.phase.text()
    until(qtbot, lambda: project.count_to_predict() == 0)
    until(qtbot, lambda: len(session.changed_by_round()) > 0)

    engine.holdout_iou = 0.1
    label_by_hand(window, qtbot, 3)  # one of them goes to the holdout
    until(qtbot, lambda: len(project.versions()) == 3)
    assert project.versions()[2].status is VersionStatus.REJECTED
    until(qtbot, lambda: "not published" in page.training.phase.text())
    champion = project.champion()
    assert champion is not None
    assert champion.version == 2

    page.training.core_requested.emit()  # as a click on a curve of the round does
    until(qtbot, lambda: page.gallery.gallery.model.rowCount() == project.counts().core)
    assert page.gallery.currentIndex() == 1
