"""The command palette, and the place of the window."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from labeler.ui.palette import Command, CommandPalette, matching, score
from labeler.ui.places import on_screen

SCREEN = QRect(0, 0, 1920, 1080)

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def commands(ran: list[str]) -> list[Command]:
    names = ("Open a folder of images…", "Open a project…", "Fill holes", "Fit to the window", "Export…")
    return [Command(name, lambda name=name: ran.append(name)) for name in names]  # type: ignore[misc]


def test_letters_match_in_order_and_beginnings_count_more() -> None:
    assert score("fh", "Fill holes") is not None
    assert score("hf", "Fill holes") is None
    assert matching("fh", commands([]))[0].text == "Fill holes"
    assert matching("exp", commands([]))[0].text == "Export…"
    assert len(matching("", commands([]))) == 5


@pytest.fixture
def palette(qtbot: QtBot) -> CommandPalette:
    over = QWidget()
    qtbot.addWidget(over)
    over.resize(900, 600)
    over.show()
    ran: list[str] = []
    made = CommandPalette(commands(ran), over)
    made.ran = ran  # type: ignore[attr-defined]
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    return made


def test_return_runs_the_best_match(palette: CommandPalette) -> None:
    QTest.keyClicks(palette.field, "fill")
    QTest.keyClick(palette.field, Qt.Key.Key_Return)

    assert palette.ran == ["Fill holes"]  # type: ignore[attr-defined]
    assert not palette.isVisible()


def test_arrows_choose_another(palette: CommandPalette) -> None:
    QTest.keyClicks(palette.field, "open")
    QTest.keyClick(palette.field, Qt.Key.Key_Down)
    QTest.keyClick(palette.field, Qt.Key.Key_Return)

    assert len(palette.ran) == 1  # type: ignore[attr-defined]
    assert palette.ran[0].startswith("Open")  # type: ignore[attr-defined]


def test_escape_runs_nothing_and_no_match_says_so(palette: CommandPalette) -> None:
    QTest.keyClicks(palette.field, "qqq")
    assert palette.none.isVisible()
    QTest.keyClick(palette.field, Qt.Key.Key_Return)

    assert palette.ran == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((100, 100, 800, 600), QRect(100, 100, 800, 600)),
        ((), None),
        ((0, 0, 3, 2), None),
        ((5000, 100, 800, 600), QRect(1120, 100, 800, 600)),  # on a screen that is unplugged
        ((-900, 200, 800, 600), QRect(0, 200, 800, 600)),
        ((100, -500, 800, 600), QRect(100, 32, 800, 600)),  # a title bar that no mouse reaches
        ((0, 32, 4000, 3000), QRect(0, 32, 1920, 1048)),  # from a larger screen
    ],
)
def test_window_comes_back_where_it_can_be_seen(place: tuple[int, ...], expected: QRect | None) -> None:
    assert on_screen(place, [SCREEN]) == expected


def test_window_stays_on_the_second_screen() -> None:
    second = QRect(1920, 0, 1280, 1024)

    assert on_screen((2000, 50, 900, 700), [SCREEN, second]) == QRect(2000, 50, 900, 700)
