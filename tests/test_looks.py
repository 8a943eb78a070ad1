"""What the window looks like: colours for every kind of colour vision, hints that go, no clipped text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes import FakeSession, image_record
from hands import hover
from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget
from pytestqt.qtbot import QtBot

from labeler.records import ImageState
from labeler.settings import Preferences
from labeler.ui.dialogs import AboutDialog, CrashDialog, ExportDialog, ScanDialog
from labeler.ui.form import SettingsDialog
from labeler.ui.hints import USES
from labeler.ui.keys import KeyMapDialog
from labeler.ui.rowlist import lifted
from labeler.ui.theme import CLASS_COLOURS, DARK, LIGHT, _drawn, state_colour, theme
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

# Machado, Oliveira and Fernandes 2009, severity 1: what linear RGB becomes without one kind of cone.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.089])


def linear(colour: str) -> np.ndarray:
    red, green, blue, _ = QColor(colour).getRgbF()
    values = np.array([red, green, blue])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE L*a*b* of a colour as an eye sees it."""
    xyz = _XYZ @ np.clip(VISIONS[vision] @ linear(colour), 0, 1) / _WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    light, dark = sorted((float(_XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbouring_classes_are_told_apart_with_any_colour_vision(vision: str) -> None:
    for one, other in itertools.combinations(CLASS_COLOURS[:5], 2):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > 10, (one, other)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(colours: object) -> None:
    grounds = [getattr(colours, name) for name in ("window", "surface")]
    for ground in grounds:
        for name in ("text", "muted", "accent", "good", "warn", "bad"):
            assert contrast(getattr(colours, name), ground) >= 4.5, name
    assert contrast(colours.on_accent, colours.accent) >= 4.5  # type: ignore[attr-defined]


def test_icons_are_sharp_on_a_dense_screen(qtbot: QtBot) -> None:
    half = b'<rect x="1" width="1" height="2" fill="#f00"/>'
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2">%b</svg>' % half
    drawn = _drawn(svg, 20, 2.0)

    assert (drawn.width(), drawn.deviceIndependentSize().width()) == (40, 20)
    row = [drawn.toImage().pixelColor(x, 20).alpha() for x in range(40)]
    assert row == [0] * 20 + [255] * 20, "drawn at full size, not enlarged"


def test_dark_thumbnails_are_lifted_and_others_are_as_they_are() -> None:
    dark = np.full((20, 20, 3), 5, np.uint8)
    dark[4:9, 4:9] = 60
    shown = lifted(dark)
    assert (int(shown.max()), int(shown[0, 0, 0])) == (200, 16)
    bright = np.full((20, 20, 3), 180, np.uint8)
    assert lifted(bright) is bright
    black = np.zeros((20, 20, 3), np.uint8)
    assert lifted(black) is black
    assert int(lifted(np.full((20, 20, 3), 2, np.uint8)).max()) == 16, "noise is not made a picture"


def test_states_differ_in_shape_too(qtbot: QtBot) -> None:
    from PySide6.QtCore import QRectF, Qt
    from PySide6.QtGui import QImage, QPainter

    from labeler.ui.marks import draw_state

    drawn = {}
    for state in ImageState:
        image = QImage(24, 24, QImage.Format.Format_Alpha8)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        draw_state(painter, QRectF(0, 0, 24, 24), state)
        painter.end()
        drawn[state] = np.frombuffer(image.constBits(), np.uint8).astype(int)
    for one, other in itertools.combinations(ImageState, 2):
        alike = {one, other} == {ImageState.EXCLUDED, ImageState.UNREADABLE}  # both are crossed out
        assert alike or np.abs(drawn[one] - drawn[other]).mean() > 8, (one, other)
    assert state_colour(ImageState.EXCLUDED) != state_colour(ImageState.UNREADABLE)


class Desktop(QObject):
    """Stands for the desktop's own colours; the offscreen platform has none."""

    colorSchemeChanged = Signal(Qt.ColorScheme)

    def __init__(self) -> None:
        super().__init__()
        self.scheme = Qt.ColorScheme.Light

    def colorScheme(self) -> Qt.ColorScheme:
        return self.scheme

    def turn(self, scheme: Qt.ColorScheme) -> None:
        self.scheme = scheme
        self.colorSchemeChanged.emit(scheme)


def test_window_turns_dark_and_light_with_the_desktop(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    desktop = Desktop()
    monkeypatch.setattr("labeler.ui.theme.QGuiApplication.styleHints", lambda: desktop)
    try:
        theme.apply("system", 1.0)
        assert theme.colours is LIGHT
        desktop.turn(Qt.ColorScheme.Dark)
        assert theme.colours is DARK
        assert qapp.palette().window().color().name() == DARK.window.lower()
        desktop.turn(Qt.ColorScheme.Light)
        assert theme.colours is LIGHT
        theme.apply("light", 1.0)
        desktop.turn(Qt.ColorScheme.Dark)
        assert theme.colours is LIGHT, "a choice of the person stays"
    finally:
        theme.apply("light", 1.0)


def test_hint_is_shown_beside_the_cursor_and_goes_after_three_uses(qtbot: QtBot, tmp_path: object) -> None:
    theme.apply("light", 1.0)
    session = FakeSession(tmp_path, [image_record(1)])  # type: ignore[arg-type]
    window = MainWindow(session, Preferences())  # type: ignore[arg-type]
    qtbot.addWidget(window)
    window.show()
    session.become_open()
    session.load(1)
    page = window.workspace
    assert page is not None
    page.choose_tool("polygon_add")

    for use in range(USES + 1):
        hover(page.canvas, QPoint(100 + 9 * use, 100))
        assert page.hints.isVisible() == (use < USES), use
        page.hints.note_use()
        assert not page.hints.isVisible()

    assert window._liked().hinted == {"polygon_add": USES}
    page.choose_tool("eraser")
    hover(page.canvas, QPoint(150, 140))
    assert page.hints.isVisible()
    page.hints.wanted = False
    page.hints.hide()
    hover(page.canvas, QPoint(160, 150))
    assert not page.hints.isVisible()
    window.close()


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5])
def test_no_button_of_a_dialog_is_cut(qtbot: QtBot, tmp_path: object, scale: float) -> None:
    from labeler.records import Counts
    from labeler.settings import Settings

    theme.apply("light", scale)
    try:
        dialogs: list[QWidget] = [
            ScanDialog(tmp_path, tmp_path),  # type: ignore[arg-type]
            ExportDialog(tmp_path, Counts(labelled=1, accepted=2)),  # type: ignore[arg-type]
            SettingsDialog(Settings(), Preferences(), lambda _: ""),
            KeyMapDialog(),
            AboutDialog(),
            CrashDialog("..."),
        ]
        for dialog in dialogs:
            qtbot.addWidget(dialog)
            dialog.show()
            for button in dialog.findChildren(QAbstractButton):
                if button.isVisibleTo(dialog) and button.text():
                    assert button.width() >= button.sizeHint().width(), (type(dialog).__name__, button.text())
                if button.isVisibleTo(dialog) and not button.objectName().startswith("qt_"):
                    assert button.accessibleName() or button.text() or button.parent().accessibleName()
    finally:
        theme.apply("light", 1.0)
