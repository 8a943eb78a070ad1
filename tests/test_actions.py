"""The table of actions: keys, tooltips, icons."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from labeler.files import shipped
from labeler.ui.actions import ACTIONS, ActionSpec, Need, build, clashes, key_text, tooltip


def test_no_two_actions_share_a_key() -> None:
    assert clashes() == []


def test_a_shared_key_would_be_found() -> None:
    twice = (ActionSpec("one", "One", ("B",)), ActionSpec("other", "Other", ("E", "b")))

    assert clashes(twice) == [("B", "one", "other")]


def test_names_are_unique() -> None:
    assert len({spec.name for spec in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("spec", [spec for spec in ACTIONS if spec.keys], ids=lambda spec: spec.name)
def test_tooltip_shows_the_key(spec: ActionSpec) -> None:
    assert key_text(spec)
    assert f"({key_text(spec).split(', ')[0]})" in tooltip(spec)


@pytest.mark.parametrize("spec", [spec for spec in ACTIONS if spec.icon], ids=lambda spec: spec.name)
def test_icon_is_shipped_and_takes_the_colour_of_the_theme(spec: ActionSpec) -> None:
    assert "currentColor" in shipped(f"assets/icons/{spec.icon}.svg").read_text("utf-8")


def test_actions_carry_the_keys_of_the_table(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)

    built = build(parent)

    for spec in ACTIONS:
        expected = [] if spec.held else [QKeySequence(key) for key in spec.keys]
        assert built[spec.name].shortcuts() == expected, spec.name


def test_what_needs_an_image_needs_a_project() -> None:
    for spec in ACTIONS:
        if Need.IMAGE in spec.need:
            assert Need.PROJECT in spec.need, spec.name
