"""The one place for colours, spacing, type and icons; light and dark, switched live."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import shiboken6
from PySide6.QtCore import QByteArray, QDir, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from labeler.files import shipped
from labeler.records import ImageState
from labeler.ui.sheet import style_sheet

# One spacing scale, in pixels at UI scale 1.
XS, S, M, L, XL = 4, 8, 12, 16, 24

# One type scale, as factors of the body size.
TYPE = {"caption": 0.86, "body": 1.0, "title": 1.14, "figure": 1.7, "display": 2.4}
BODY_POINTS = 10.0

# Class colours: Okabe and Ito's palette, told apart with every kind of colour vision. Class 1 comes first.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#BBBBBB")


@dataclass(frozen=True, slots=True)
class Colours:
    """One palette; every colour as #rrggbb."""

    dark: bool
    window: str
    surface: str  # cards, lists, fields
    sunken: str  # tracks, wells, plot grounds
    canvas: str  # around the image
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    accent_soft: str  # selected rows, checked tools
    hover: str
    good: str
    warn: str
    bad: str


LIGHT = Colours(
    dark=False,
    window="#F3F4F6",
    surface="#FFFFFF",
    sunken="#E9ECF0",
    canvas="#DDE1E7",
    border="#D3D8DF",
    text="#1C222B",
    muted="#5A6472",
    accent="#0F66A8",
    on_accent="#FFFFFF",
    accent_soft="#D9E9F6",
    hover="#E9EEF4",
    good="#007A5A",
    warn="#9A6100",
    bad="#B23A00",
)
DARK = Colours(
    dark=True,
    window="#1B1E23",
    surface="#23272E",
    sunken="#15181C",
    canvas="#121417",
    border="#363C46",
    text="#E6E9EE",
    muted="#9BA5B3",
    accent="#5FB0EA",
    on_accent="#0D1B26",
    accent_soft="#22405A",
    hover="#2C323B",
    good="#3FC49B",
    warn="#F0B13C",
    bad="#FF8A55",
)


class Theme(QObject):
    """The colours and the scale in use; emits ``changed`` after every switch."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.colours = LIGHT
        self.class_colours: tuple[str, ...] = CLASS_COLOURS
        self.scale = 1.0
        self._choice = "light"
        self._followers: list[tuple[weakref.ref[QObject], Callable[[Any], None]]] = []
        self._sweep_at = 256
        self._dressed: tuple[object, ...] = ()
        self._followed: weakref.ref[QObject] | None = None

    def apply(self, choice: str, scale: float) -> None:
        """Dress the application: ``choice`` is system, light or dark; ``scale`` multiplies text and spacing."""
        self._choice, self.scale = choice, scale
        hints = QGuiApplication.styleHints()
        if self._followed is None or self._followed() is not hints:
            hints.colorSchemeChanged.connect(self._follow_system)
            self._followed = weakref.ref(hints)
        self._dress()

    def _follow_system(self) -> None:
        if self._choice == "system":
            self._dress()

    def _dress(self) -> None:
        app = QApplication.instance()
        if not isinstance(app, QApplication):
            return
        system_dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        self.colours = DARK if self._choice == "dark" or (self._choice == "system" and system_dark) else LIGHT
        if self._dressed == (app, self.colours, self.scale):
            return  # polishing every widget again takes half a second
        self._dressed = (app, self.colours, self.scale)
        _pixmap.cache_clear()
        app.setStyle("Fusion")
        app.setPalette(_palette(self.colours))
        QDir.setSearchPaths("drawn", [str(shipped("assets/drawn"))])
        font = QFont(app.font())
        font.setPointSizeF(BODY_POINTS * self.scale)
        app.setFont(font)
        names = {field.name: getattr(self.colours, field.name) for field in fields(Colours)}
        sizes = {role: round(BODY_POINTS * 96 / 72 * factor * self.scale) for role, factor in TYPE.items()}
        app.setStyleSheet(style_sheet(names, sizes, self.px))
        self._renew_followers()
        self.changed.emit()

    def colour_classes(self, chosen: Sequence[str]) -> None:
        """Colours of the first classes, as #rrggbb; the others keep those of the palette."""
        colours = (*chosen, *CLASS_COLOURS[len(chosen) :])
        if colours != self.class_colours:
            self.class_colours = colours
            self._renew_followers()
            self.changed.emit()

    def add_follower(self, target: QObject, renew: Callable[[Any], None]) -> None:
        """See ``follow``."""
        self._followers.append((weakref.ref(target), renew))
        if len(self._followers) > self._sweep_at:
            self._followers = [entry for entry in self._followers if _alive(entry[0]) is not None]
            self._sweep_at = 2 * len(self._followers) + 256

    def _renew_followers(self) -> None:
        for reference, renew in list(self._followers):
            target = _alive(reference)
            if target is not None:
                renew(target)

    def px(self, pixels: float) -> int:
        """A length of the spacing scale, at the scale in use."""
        return round(pixels * self.scale)

    def font(self, role: str = "body", *, bold: bool = False) -> QFont:
        """Font of a role of the type scale, for painting."""
        font = QFont(QApplication.font())
        font.setPointSizeF(BODY_POINTS * TYPE[role] * self.scale)
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        return font

    def icon_size(self) -> QSize:
        """Size of icons on buttons."""
        return QSize(self.px(20), self.px(20))


def _alive(reference: weakref.ref[QObject]) -> QObject | None:
    target = reference()
    return target if target is not None and shiboken6.isValid(target) else None


theme = Theme()


def _palette(colours: Colours) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    table = {
        role.Window: colours.window,
        role.WindowText: colours.text,
        role.Base: colours.surface,
        role.AlternateBase: colours.window,
        role.Text: colours.text,
        role.Button: colours.surface,
        role.ButtonText: colours.text,
        role.BrightText: colours.bad,
        role.ToolTipBase: colours.surface,
        role.ToolTipText: colours.text,
        role.PlaceholderText: colours.muted,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Link: colours.accent,
        role.Mid: colours.border,
        role.Light: colours.hover,
        role.Dark: colours.border,
    }
    for which, colour in table.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, faded(colours.text, colours.window, 0.42))
    return palette


def faded(colour: str, ground: str, share: float) -> QColor:
    """``share`` of a colour mixed into a ground."""
    over, under = QColor(colour), QColor(ground)
    rest = 1 - share
    return QColor.fromRgbF(
        over.redF() * share + under.redF() * rest,
        over.greenF() * share + under.greenF() * rest,
        over.blueF() * share + under.blueF() * rest,
    )


def state_colour(state: ImageState) -> QColor:
    """The colour that stands for a state, in lists, strips and plots."""
    colours = theme.colours
    named = {
        ImageState.QUEUED: colours.warn,
        ImageState.ACCEPTED: colours.good,
        ImageState.LABELLED: colours.accent,
        ImageState.UNREADABLE: colours.bad,
    }
    return QColor(named.get(state, colours.muted))


def class_colour(value: int) -> QColor:
    """Colour of a class; ``value`` is the pixel value, 1 for the first class."""
    return QColor(theme.class_colours[(max(value, 1) - 1) % len(theme.class_colours)])


@functools.cache
def _svg(name: str) -> str:
    return shipped(f"assets/icons/{name}.svg").read_text("utf-8")


@functools.lru_cache(maxsize=512)
def _pixmap(name: str, colour: str, side: int) -> QPixmap:
    return _drawn(_svg(name).replace("currentColor", colour).encode(), side, _density())


def _density() -> float:
    """Device pixels in a pixel, of the densest screen."""
    app = QApplication.instance()
    return app.devicePixelRatio() if isinstance(app, QApplication) else 1.0


def _drawn(svg: bytes, side: int, density: float) -> QPixmap:
    """A picture ``side`` pixels wide that is sharp on a screen of this density."""
    renderer = QSvgRenderer(QByteArray(svg))
    pixmap = QPixmap(round(side * density), round(side * density))
    pixmap.setDevicePixelRatio(density)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    return pixmap


def tinted(name: str, colour: str, side: int) -> QPixmap:
    """Icon ``name`` in one colour, ``side`` pixels wide."""
    return _pixmap(name, colour, side)


def logo(side: int) -> QPixmap:
    """The program's own mark, ``side`` pixels wide."""
    return _drawn(shipped("assets/icon.svg").read_bytes(), side, _density())


def icon(name: str, *, colour: str = "") -> QIcon:
    """Icon ``name`` in the colours in use, with its disabled and checked looks."""
    colours = theme.colours
    normal = colour or colours.text
    disabled = faded(colours.text, colours.window, 0.38).name()  # of no other colour: white would not be seen
    drawn = QIcon()
    for side in (16, 20, 24, 32, 48, 64):
        drawn.addPixmap(_pixmap(name, normal, side), QIcon.Mode.Normal, QIcon.State.Off)
        drawn.addPixmap(_pixmap(name, disabled, side), QIcon.Mode.Disabled, QIcon.State.Off)
        if not colour:
            drawn.addPixmap(_pixmap(name, colours.accent, side), QIcon.Mode.Normal, QIcon.State.On)
    return drawn


def dress(target: QObject, name: str, *, role: str = "") -> None:
    """Give an action or button icon ``name``, now and after every switch; ``role`` names a colour of the palette."""

    def renew(widget: Any) -> None:
        widget.setIcon(icon(name, colour=getattr(theme.colours, role) if role else ""))

    follow(target, renew)


def follow(target: QObject, renew: Callable[[Any], None]) -> None:
    """Call ``renew(target)`` now and after every switch, for as long as the target lives."""
    renew(target)
    theme.add_follower(target, renew)
