"""Keys that a person changes: kept, refused where they are taken, in force at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from labeler.settings import Preferences, load_preferences, save_preferences
from labeler.ui.actions import ACTIONS, build, clashes
from labeler.ui.keymap import changes, in_force, rekey
from labeler.ui.keys import KeyMapDialog

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def keys(name: str, specs: tuple[object, ...]) -> tuple[str, ...]:
    return next(spec.keys for spec in specs if spec.name == name)  # type: ignore[attr-defined]


def test_changed_keys_take_the_place_of_the_tables() -> None:
    specs = in_force({"brush": ("J",)})

    assert keys("brush", specs) == ("J",)
    assert changes(specs) == {"brush": ("J",)}
    assert len(specs) == len(ACTIONS)


def test_two_actions_may_swap_their_keys() -> None:
    specs = in_force({"brush": ("E",), "eraser": ("B",)})

    assert (keys("brush", specs), keys("eraser", specs)) == (("E",), ("B",))
    assert clashes(specs) == []


@pytest.mark.parametrize("changed", [{"brush": ("E",)}, {"brush": ("J",), "eraser": ("J",)}, {"fit": ("ctrl+z",)}])
def test_no_preferences_make_two_actions_share_a_key(changed: dict[str, tuple[str, ...]]) -> None:
    assert clashes(in_force(changed)) == []


def test_unknown_actions_and_unreadable_keys_are_left_out() -> None:
    specs = in_force({"nothing": ("J",), "brush": ("no key at all",)})

    assert keys("brush", specs) == ()
    assert {spec.name for spec in specs} == {spec.name for spec in ACTIONS}


def test_changed_keys_survive_a_restart() -> None:
    save_preferences(Preferences(keys={"brush": ("J", "Shift+Q")}))

    assert load_preferences().keys == {"brush": ("J", "Shift+Q")}


def test_live_actions_get_their_keys_and_tell_them(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    actions = build(parent)

    rekey(actions, in_force({"brush": ("J",), "style": ("B",)}))

    assert actions["brush"].shortcuts() == [QKeySequence("J")]
    assert actions["style"].shortcuts() == [QKeySequence("B")]
    assert "(J)" in actions["brush"].toolTip()


def test_key_that_is_taken_is_refused_with_the_name_of_its_action(qtbot: QtBot) -> None:
    dialog = KeyMapDialog()
    qtbot.addWidget(dialog)

    with qtbot.assertNotEmitted(dialog.keys_changed):
        dialog.rows["fit"].edit.setKeySequence(QKeySequence("B"))

    assert "Brush" in dialog.said.text()
    assert dialog.rows["fit"].edit.keySequence() == QKeySequence("F")


def test_key_of_the_canvas_is_refused(qtbot: QtBot) -> None:
    dialog = KeyMapDialog()
    qtbot.addWidget(dialog)

    with qtbot.assertNotEmitted(dialog.keys_changed):
        dialog.rows["fit"].edit.setKeySequence(QKeySequence("Space"))


def test_key_is_changed_and_put_back(qtbot: QtBot) -> None:
    dialog = KeyMapDialog({"brush": ("J",)})
    qtbot.addWidget(dialog)
    assert dialog.rows["brush"].edit.keySequence() == QKeySequence("J")

    with qtbot.waitSignal(dialog.keys_changed) as changed:
        dialog.rows["redo"].edit.setKeySequence(QKeySequence("Ctrl+J"))
    assert changed.args == [{"brush": ("J",), "redo": ("Ctrl+J", "Ctrl+Y")}]
    with qtbot.waitSignal(dialog.keys_changed) as changed:
        dialog.reset.click()

    assert changed.args == [{}]
    assert not dialog.reset.isEnabled()


def test_key_map_finds_by_name_and_by_key(qtbot: QtBot) -> None:
    dialog = KeyMapDialog()
    qtbot.addWidget(dialog)
    dialog.show()

    dialog.search.setText("eraser")
    assert {name for name, row in dialog.rows.items() if row.edit.isVisible()} == {"eraser", "swap"}
    dialog.search.setText("ctrl+e")
    assert dialog.rows["export"].edit.isVisible()


def test_preferences_that_cannot_be_read_are_the_defaults(tmp_path: Path) -> None:
    from labeler.settings import preferences_path

    preferences_path().parent.mkdir(parents=True, exist_ok=True)
    preferences_path().write_text("keys = 3\n")

    assert load_preferences() == Preferences()
    preferences_path().write_text('keys = 3\ntheme = "dark"\nof_a_later_version = 1\n')
    assert load_preferences() == Preferences(theme="dark")  # one that means nothing takes no other with it
