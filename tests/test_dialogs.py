"""Dialogs: what they show of the settings, a folder, the keys, and what they ask for."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image as PillowImage
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from labeler.records import Counts
from labeler.settings import Preferences, Settings
from labeler.ui.actions import ACTIONS
from labeler.ui.dialogs import AboutDialog, CrashDialog, ExportDialog, ScanDialog
from labeler.ui.form import SettingsDialog
from labeler.ui.keys import KeyMapDialog
from labeler.ui.scan import ScanSummary, look_into

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def _save(path: Path, *, orientation: int = 1, deep: bool = False) -> None:
    pixels = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24) * (100 if deep else 1)
    image = PillowImage.fromarray(pixels if deep else (pixels % 256).astype(np.uint8))
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def _texts(widget: QWidget) -> str:
    return "\n".join(child.text() for child in widget.findChildren(QLabel) if not child.isHidden())


def test_scan_finds_pairs_depth_rotation_and_unreadable_files_and_writes_nothing(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    _save(images / "plain.png")
    _save(images / "deep.png", deep=True)
    _save(images / "turned.jpg", orientation=6)
    (images / "broken.png").write_bytes(b"no image")
    (images / "notes.txt").write_text("no image either")
    _save(masks / "plain.png")
    before = sorted(path.name for path in tmp_path.rglob("*"))

    *_, summary = look_into(images)

    assert (summary.images, summary.pairs, summary.deep, summary.rotated) == (4, 1, 1, 1)
    assert [path.name for path, _ in summary.unreadable] == ["broken.png"]
    assert summary.done
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_scan_dialog_shows_the_summary_and_asks_for_both_folders(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ScanDialog(tmp_path / "images", tmp_path / "project")
    qtbot.addWidget(dialog)
    dialog.show()
    broken = ((tmp_path / "images" / "<b>x.png", "<b>x.png: no image"),)

    dialog.show_summary(
        ScanSummary(tmp_path / "images", images=1234, looked_into=60, deep=3, rotated=2, unreadable=broken, done=True)
    )

    shown = _texts(dialog)
    for part in ("1,234 images", "3 of 60 looked into", "2 of 60 looked into", "<b>x.png"):
        assert part in shown
    with qtbot.waitSignal(dialog.open_requested) as asked:
        dialog.accept()
    assert asked.args == [tmp_path / "images", tmp_path / "project"]


def test_folder_can_be_added_to_the_open_project_instead(qtbot: QtBot, tmp_path: Path) -> None:
    alone = ScanDialog(tmp_path / "images", tmp_path / "project")
    either = ScanDialog(tmp_path / "images", tmp_path / "project", can_grow=True)
    more = ScanDialog(tmp_path / "images", tmp_path / "project", can_grow=True, more=True)
    shown = []
    for dialog in (alone, either, more):
        qtbot.addWidget(dialog)
        dialog.show()
        shown.append((dialog.accept_button.isVisible(), dialog.add_button.isVisible(), dialog.target.isVisible()))
        primary = dialog.add_button if dialog is more else dialog.accept_button
        assert primary.property("role") == "primary"
        assert dialog.focusWidget() is primary
    assert shown == [(True, False, True), (True, True, True), (False, True, False)]
    with qtbot.waitSignal(more.add_requested) as asked, qtbot.assertNotEmitted(more.open_requested):
        more.add_button.click()
    assert asked.args == [tmp_path / "images"]
    assert not more.isVisible()


def test_summary_of_another_folder_is_not_shown(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ScanDialog(tmp_path / "images", tmp_path / "project")
    qtbot.addWidget(dialog)

    dialog.show_summary(ScanSummary(tmp_path / "elsewhere", images=7, done=True))

    assert dialog.summary.images == 0


def _kept(_settings: Settings) -> str:
    return ""


def test_settings_dialog_has_a_control_for_every_field_with_a_group(qtbot: QtBot) -> None:
    dialog = SettingsDialog(Settings(), Preferences(), _kept)
    qtbot.addWidget(dialog)

    for form, table in ((dialog.project, Settings), (dialog.person, Preferences)):
        assert form is not None
        expected = {name for name, info in table.model_fields.items() if isinstance(info.json_schema_extra, dict)}
        assert set(form.fields) == expected
        for name, field in form.fields.items():
            assert field.control.accessibleName(), name
            assert field.control.toolTip(), name


def test_settings_dialog_untouched_emits_nothing(qtbot: QtBot) -> None:
    kept = Mock(return_value="")
    dialog = SettingsDialog(Settings(lr=0.00123456, threshold=0.812345), Preferences(opacity=1 / 3), kept)
    qtbot.addWidget(dialog)

    with qtbot.assertNotEmitted(dialog.preferences_accepted):
        dialog.accept()
    kept.assert_not_called()


def test_settings_dialog_keeps_what_was_changed(qtbot: QtBot) -> None:
    kept = Mock(return_value="")
    dialog = SettingsDialog(Settings(), Preferences(), kept)
    qtbot.addWidget(dialog)
    assert dialog.project is not None
    dialog.project.fields["first_labels"].control.setValue(7)

    with qtbot.assertNotEmitted(dialog.preferences_accepted):
        dialog.accept()

    kept.assert_called_once_with(Settings(first_labels=7))


def test_settings_dialog_stays_open_with_the_reason_of_a_refusal(qtbot: QtBot) -> None:
    kept = Mock(return_value="")
    dialog = SettingsDialog(Settings(), Preferences(), kept)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.project is not None
    dialog.project.fields["patch"].control.setValue(100)

    dialog.accept()

    kept.assert_not_called()
    assert dialog.isVisible()
    assert "Patch" in dialog.refusal.text()
    assert "16" in dialog.refusal.text()


@pytest.mark.parametrize("typed", ["red", "#12345", "#12345g, #000000"])
def test_colours_that_are_none_are_refused(qtbot: QtBot, typed: str) -> None:
    kept = Mock(return_value="")
    dialog = SettingsDialog(Settings(), Preferences(), kept)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.project is not None
    line = dialog.project.fields["colours"].control
    assert isinstance(line, QLineEdit)
    line.setText(typed)
    dialog.accept()
    assert "#E69F00" in dialog.refusal.text()
    line.setText("#AA00ff, #00ff00")
    dialog.accept()
    kept.assert_called_once_with(Settings(colours=("#AA00ff", "#00ff00")))


def test_settings_dialog_keeps_what_was_typed_where_the_project_refuses_it(qtbot: QtBot) -> None:
    dialog = SettingsDialog(Settings(classes=("cell", "nucleus")), Preferences(), lambda _: "'nucleus' is in use")
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.project is not None
    line = dialog.project.fields["classes"].control
    line.setText("cell, debris of cells")

    dialog.accept()

    assert dialog.isVisible()
    assert dialog.refusal.text() == "'nucleus' is in use"
    assert line.text() == "cell, debris of cells"


def test_settings_without_a_project_offers_the_preferences_only(qtbot: QtBot) -> None:
    dialog = SettingsDialog(None, Preferences(), _kept)
    qtbot.addWidget(dialog)

    assert dialog.tabs.count() == 1


def test_key_map_has_a_field_for_every_action(qtbot: QtBot) -> None:
    dialog = KeyMapDialog()
    qtbot.addWidget(dialog)

    for spec in ACTIONS:
        first = QKeySequence(spec.keys[0] if spec.keys else "")
        assert dialog.rows[spec.name].edit.keySequence() == first, spec.name


def test_export_dialog_asks_for_folder_format_and_masks(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog(tmp_path / "out", Counts(labelled=3, core=2, holdout=1, accepted=40))
    qtbot.addWidget(dialog)
    dialog.format.setCurrentIndex(dialog.format.findData("coco"))
    assert "40" in dialog.masks.currentText()
    dialog.masks.setCurrentIndex(dialog.masks.findData(False))

    with qtbot.waitSignal(dialog.export_requested) as asked:
        qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)

    assert asked.args == [tmp_path / "out", "coco", False]


def test_nothing_to_export_is_not_offered(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = ExportDialog(tmp_path / "out", Counts())
    qtbot.addWidget(dialog)

    assert not dialog.start.isEnabled()


def test_crash_report_can_be_copied_and_is_plain_text(qtbot: QtBot) -> None:
    dialog = CrashDialog("Traceback <b>bold</b>")
    qtbot.addWidget(dialog)

    assert dialog.report.toPlainText().endswith("Traceback <b>bold</b>")


def test_about_tells_the_version(qtbot: QtBot) -> None:
    from labeler import __version__

    dialog = AboutDialog()
    qtbot.addWidget(dialog)

    assert __version__ in "\n".join(label.text() for label in dialog.findChildren(QLabel))
