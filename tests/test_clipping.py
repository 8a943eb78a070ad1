"""No text of the window is cut, in either language, at 100, 125 and 150 %, on a screen of 1280 x 800."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeSession, image_record
from PySide6.QtCore import QCoreApplication, QPoint, QSize, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QLabel,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from labeler.records import ImageState
from labeler.settings import Preferences
from labeler.ui.controls import PlainLabel, label
from labeler.ui.language import Sentences
from labeler.ui.theme import theme
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

SIZE = QSize(1280, 776)
STATES = (ImageState.QUEUED, ImageState.ACCEPTED, ImageState.LABELLED)


def cut(root: QWidget) -> list[str]:
    """The visible widgets below ``root`` whose text does not fit, or which reach out of what scrolls them."""
    found = []
    for widget in root.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if why := _lacks(widget):
            found.append(f"{type(widget).__name__} {_text(widget)!r}: {why}")
    return found


def _text(widget: QWidget) -> str:
    return widget.text() if isinstance(widget, QLabel | QAbstractButton) else widget.accessibleName()


def _lacks(widget: QWidget) -> str:
    if isinstance(widget, PlainLabel) and widget.text() and not widget._elides:
        if widget.wordWrap():
            needed = widget.heightForWidth(widget.width())
            if widget.height() < needed:
                return f"{widget.height()} of {needed} high"
        elif widget.width() < (needed := widget.fontMetrics().horizontalAdvance(widget.text())):
            return f"{widget.width()} of {needed} wide"
    if isinstance(widget, QAbstractButton) and widget.text() and _has_words(widget):
        needed = widget.fontMetrics().horizontalAdvance(widget.text().replace("&&", "&"))
        if widget.width() < needed:
            return f"{widget.width()} of {needed} wide"
    if isinstance(widget, QAbstractSpinBox):
        line = widget.lineEdit()
        needed = line.fontMetrics().horizontalAdvance(line.text())
        if line.width() - line.textMargins().left() < needed:
            return f"{line.width()} of {needed} wide"
    return _reaches_out(widget)


def _has_words(button: QAbstractButton) -> bool:
    return not isinstance(button, QToolButton) or button.toolButtonStyle() is not Qt.ToolButtonStyle.ToolButtonIconOnly


def _reaches_out(widget: QWidget) -> str:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QAbstractScrollArea):
        parent = parent.parentWidget()
    if parent is None or not (isinstance(widget, QLabel | QAbstractButton | QAbstractSpinBox)):
        return ""
    viewport = parent.viewport()
    right = widget.mapTo(viewport, QPoint(widget.width(), 0)).x() if viewport.isAncestorOf(widget) else 0
    return f"reaches {right - viewport.width()} pixels out" if right > viewport.width() else ""


@pytest.fixture(params=[("en", 1.0), ("de", 1.25), ("de", 1.5)], ids=["en-100", "de-125", "de-150"])
def window(request: pytest.FixtureRequest, qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    app = QCoreApplication.instance()
    assert app is not None
    language, scale = request.param
    translator = Sentences(language, app)
    app.installTranslator(translator)
    theme.apply("light", scale)
    records = [image_record(number, STATES[number % 3]) for number in range(1, 31)]
    session = FakeSession(tmp_path / "nuclei", records)
    window = MainWindow(session, Preferences(ui_scale=scale))  # type: ignore[arg-type]
    qtbot.addWidget(window)
    window.resize(SIZE)
    window.show()
    yield window
    window.close()
    app.removeTranslator(translator)
    theme.apply("light", 1.0)


def settled(window: MainWindow) -> MainWindow:
    for _ in range(3):  # a layout that changes heights asks for another one
        QApplication.processEvents()
    assert window.size() == SIZE, "nothing may push the window apart"
    return window


def test_no_text_of_the_window_is_cut(window: MainWindow) -> None:
    window.start.show_recent([])
    window.start.banner.report("The project cannot be opened", "a.png: changed on disk; restore it " * 4)
    assert cut(settled(window)) == [], "start page"

    session = window.session
    assert isinstance(session, FakeSession)
    session.become_open()
    session.load(6)
    page = window.workspace
    assert page is not None
    settled(window)
    sizes = page.sides.sizes()
    for tab in range(page.tabs.count()):
        page.tabs.setCurrentIndex(tab)
        assert cut(settled(window)) == [], page.tabs.tabToolTip(tab)
        assert page.tabs.tabBar().tabRect(page.tabs.count() - 1).right() < page.tabs.width()
    page.tabs.setCurrentIndex(0)
    page.gallery.setCurrentIndex(1)
    page.gallery.filters.more.setChecked(True)
    assert cut(settled(window)) == [], "filters"
    page.report("Not saved: the drawing is kept in memory", "/data/masks: no space left; free some and try again.")
    assert cut(settled(window)) == [], "banner"
    assert page.sides.sizes() == sizes, "a message must not move the image"

    for name in ("side_by_side", "swipe", "report"):
        window.actions_by_name[name].trigger()
        assert cut(settled(window)) == [], name
        assert page.sides.sizes() == sizes, name


def test_a_cut_text_would_be_found(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    short = label("Needed a person")
    short.setParent(page)
    page.show()
    short.setFixedWidth(10)
    QApplication.processEvents()
    assert cut(page) == [
        f"PlainLabel 'Needed a person': 10 of {short.fontMetrics().horizontalAdvance(short.text())} wide"
    ]
    short.setWordWrap(True)
    assert len(cut(page)) == 1
