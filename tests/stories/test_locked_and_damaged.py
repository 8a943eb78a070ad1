"""A project that is open elsewhere is looked at; one whose catalogue is damaged is rebuilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from sessions import label, press, start, stroke, until

from labeler.files import sha256_of_file
from labeler.project import Project
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def fingerprint(folder: Path) -> dict[str, str]:
    """What lies in a project, without the lock's text and SQLite's own index of its log."""
    return {
        str(path): sha256_of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".sqlite-shm",)
    }


def test_project_that_is_open_elsewhere_is_looked_at(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    folder = start(session, qtbot, tmp_path, first_labels=100)
    (labelled,) = label(session, qtbot, 1)
    window.actions_by_name["close_project"].trigger()
    with Project.open(folder) as elsewhere:
        before = fingerprint(folder)
        session.open_project(folder)
        until(qtbot, lambda: window.start.banner.way_out.isVisible())
        assert "process" in window.start.banner.sentence.text()

        window.start.banner.way_out.click()
        until(qtbot, lambda: session.editor is not None and len(session.columns) == 6)
        page = window.workspace
        assert page is not None
        assert "viewing only" in page.guide.text()
        assert "viewing only" in window.windowTitle()
        for name in ("commit", "brush", "exclude", "fill_holes", "train"):
            assert not window.actions_by_name[name].isEnabled(), name
        session.show_image(labelled)
        until(qtbot, lambda: session.current == labelled and session.editor is not None)
        assert session.editor is not None
        shown = session.editor.mask.copy()
        stroke(page.canvas)
        press(page.canvas, "Ctrl+Return")
        assert np.array_equal(session.editor.mask, shown), "the mouse moves the image, it does not paint"
        assert np.array_equal(shown, elsewhere.label_mask(labelled))
        window.actions_by_name["close_project"].trigger()
        assert fingerprint(folder) == before


def test_damaged_catalogue_is_rebuilt_from_the_masks(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session = window.session
    folder = start(session, qtbot, tmp_path, first_labels=100)
    labelled = label(session, qtbot, 2)
    assert session.project is not None
    masks = {image_id: session.project.label_mask(image_id) for image_id in labelled}
    window.actions_by_name["close_project"].trigger()
    (folder / "catalogue.sqlite").write_bytes(b"\0" * 5000)

    session.open_project(folder)
    until(qtbot, lambda: window.start.banner.way_out.isVisible())
    assert "labeler rebuild" in window.start.banner.sentence.text()
    window.start.banner.way_out.click()
    until(qtbot, lambda: session.project is not None and len(session.columns) == 6)

    assert session.project is not None
    assert session.project.counts().labelled == 2
    for image_id, mask in masks.items():
        assert np.array_equal(session.project.label_mask(image_id), mask)
    assert list(folder.glob("catalogue.sqlite.damaged-*"))
