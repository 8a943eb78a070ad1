"""Several classes: named, painted with their number keys, exported, and one more when there is a model already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QColorDialog, QLineEdit, QToolButton
from pytestqt.qtbot import QtBot
from sessions import FakeEngine, label, press, start, until

from labeler import masks
from labeler.records import ImageState
from labeler.ui.canvas import Canvas
from labeler.ui.form import SettingsDialog
from labeler.ui.theme import CLASS_COLOURS
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def dab(canvas: Canvas, x: float, y: float) -> None:
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.view.to_widget((x, y)).toPoint())
    canvas.finish_stroke()


def name_classes(window: MainWindow, qtbot: QtBot, names: str) -> SettingsDialog:
    """By the settings, as a person does."""
    window.show_settings()
    dialog = next(d for d in window.findChildren(SettingsDialog) if d.isVisible())
    assert dialog.project is not None
    field = dialog.project.fields["classes"].control
    assert isinstance(field, QLineEdit)
    assert field.isEnabled()
    field.setText(names)
    dialog.accept()
    with qtbot.waitActive(window):
        window.activateWindow()  # the offscreen platform has no window manager to do it
    return dialog


def choose_colour(window: MainWindow, qtbot: QtBot, value: int, colour: str) -> None:
    """By the menu key on a class, as a person does."""
    assert window.workspace is not None
    button = window.workspace.inspector._classes.button(value)
    button.customContextMenuRequested.emit(QPoint(2, 2))
    dialog = next(d for d in window.findChildren(QColorDialog) if d.isVisible())
    dialog.setCurrentColor(QColor(colour))
    dialog.accept()
    with qtbot.waitActive(window):
        window.activateWindow()


def offered(window: MainWindow) -> list[str]:
    assert window.workspace is not None
    buttons = window.workspace.inspector.findChildren(QToolButton)
    return [button.text().strip() for button in buttons if button.text() and not button.isHidden()]


def test_classes_are_named_painted_exported_and_added(
    window: MainWindow, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    session = window.session
    start(session, qtbot, tmp_path, 12, threshold=0.55)
    page, project = window.workspace, session.project
    assert page is not None
    assert project is not None
    name_classes(window, qtbot, "cell, dirt")
    assert project.settings.classes == ("cell", "dirt")
    assert offered(window) == ["cell", "dirt"]
    assert page.gallery.filters.class_value.findText("dirt") > 0, "the gallery can be filtered by it at once"

    first, canvas = session.current, page.canvas
    press(canvas, "2")
    dab(canvas, 12, 12)
    press(canvas, "1")
    dab(canvas, 34, 34)
    press(canvas, "7")  # there is no such class: the one in hand stays
    dab(canvas, 34, 12)
    assert session.editor is not None
    assert [int(session.editor.mask[y, x]) for x, y in ((12, 12), (34, 34), (34, 12))] == [2, 1, 1]
    canvas.overlay = "fill"
    shown = canvas.grab().toImage()
    one, two = (shown.pixelColor(canvas.view.to_widget((x, x)).toPoint() + QPoint(3, 3)) for x in (34.0, 12.0))
    assert one.name() != two.name(), "classes differ in colour"
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS)

    choose_colour(window, qtbot, 2, "#aa00ff")
    assert project.settings.colours == (CLASS_COLOURS[0].lower(), "#aa00ff"), "kept with the project"
    spot = canvas.view.to_widget((12.0, 12.0)).toPoint() + QPoint(3, 3)
    assert canvas.grab().toImage().pixelColor(spot).name() not in (one.name(), two.name()), "seen at once"
    choose_colour(window, qtbot, 2, CLASS_COLOURS[1])
    assert canvas.grab().toImage().pixelColor(spot).name() == two.name()
    QTest.mouseMove(canvas, canvas.view.to_widget((12.0, 12.0)).toPoint())
    press(canvas, "K")
    assert canvas.class_value == 2, "picked from the mask"
    with qtbot.waitSignal(session.committed):
        press(canvas, "Ctrl+Return")
    assert set(np.unique(project.label_mask(first))) == {0, 1, 2}

    label(session, qtbot, 2)
    until(qtbot, lambda: project.champion() is not None and project.counts().pool == 0)
    page.gallery.setCurrentIndex(1)
    page.gallery.filters.class_value.setCurrentIndex(page.gallery.filters.class_value.findData(2))
    until(qtbot, lambda: page.gallery.gallery.model.rowCount() == 1)
    assert page.gallery.gallery.model.id_at(0) == first

    name_classes(window, qtbot, "cell, dirt, hair")
    assert offered(window) == ["cell", "dirt", "hair"]
    assert canvas.class_value == 2, "still in hand"
    until(qtbot, lambda: session.editor is not None)
    third = session.current
    press(canvas, "3")
    dab(canvas, 40, 8)
    with qtbot.waitSignal(session.committed):
        press(canvas, "Ctrl+Return")
    assert project.image(third).state is ImageState.LABELLED
    label(session, qtbot, 1)
    until(qtbot, lambda: len(engine.rounds) == 2)
    assert engine.rounds[1].settings.classes == ("cell", "dirt", "hair"), "the next round knows the new class"

    refused = name_classes(window, qtbot, "cell, dirt")
    assert project.settings.classes == ("cell", "dirt", "hair")
    assert refused.isVisible(), "what was typed stays"
    assert "used by labels" in refused.refusal.text()
    refused.reject()

    with qtbot.waitSignal(session.exported, timeout=20_000):
        session.export(tmp_path / "out", "png", include_accepted=False)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["classes"] == {"1": "cell", "2": "dirt", "3": "hair"}
    values = [set(np.unique(masks.load(path))) for path in (tmp_path / "out").glob("**/*.png")]
    assert {2, 3} <= set().union(*values), "every class is a value of the pixels"
