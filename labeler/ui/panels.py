"""The panels around the canvas: tool column, options of tool and view, decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLayout,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)

from labeler.ui.actions import keys_of
from labeler.ui.controls import ActionButton, Choice, inset, label, rule, tool_button
from labeler.ui.theme import XS, M, S, follow, theme
from labeler.ui.toning import ToneButton
from labeler.ui.tools import Tool

TOOLS = tuple(tool.value for tool in Tool)
_COLUMN: tuple[tuple[str, ...], ...] = (
    ("brush", "eraser", "smart_brush", "scribble", "restore_brush"),
    ("lasso", "polygon_add", "polygon_subtract", "bucket", "wand", "box"),
    ("pan", "next_part"),
    ("undo", "redo"),
    ("fill_holes", "remove_specks", "smooth", "snap", "invert", "revert", "copy_previous"),
    ("overlay", "style", "doubt", "compare"),
)


class ToolColumn(QFrame):
    """The slim column of tools at the left of the canvas."""

    held = Signal(str, bool)  # an action that acts while its button is down

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setAccessibleName(self.tr("Tools"))
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(XS, S, XS, S)
        self._grid.setSpacing(2)
        # The grid may not force the window to be as tall as one column of buttons.
        self._grid.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        group = QActionGroup(self)
        for tool in TOOLS:
            group.addAction(actions[tool])
        self._groups = [[self._button(name, actions[name]) for name in names] for names in _COLUMN]
        self._rules = [rule() for _ in _COLUMN[1:]]
        for line in self._rules:
            line.setParent(self)
        self._columns = 0
        follow(self, ToolColumn._arrange)

    def _arrange(self) -> None:
        """One column of buttons, or two where the window is too low for one."""
        button = self._groups[0][0].sizeHint().height() + self._grid.spacing()
        one = sum(map(len, self._groups)) * button + len(self._rules) * theme.px(9) + 2 * S
        columns = 1 if self.height() >= one else 2
        self.setFixedWidth(columns * self._groups[0][0].sizeHint().width() + (columns - 1) * 2 + 2 * XS)
        if columns == self._columns:
            return
        self._columns = columns
        self._grid.setRowStretch(self._grid.rowCount() - 1, 0)
        row = 0
        for number, buttons in enumerate(self._groups):
            if number:
                self._grid.addWidget(self._rules[number - 1], row, 0, 1, columns)
                self._grid.setRowMinimumHeight(row, 9)
                row += 1
            for place, made in enumerate(buttons):
                self._grid.addWidget(made, row + place // columns, place % columns)
            row += -(-len(buttons) // columns)
        self._grid.setRowStretch(row, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)

    def _button(self, name: str, action: QAction) -> QToolButton:
        made = tool_button(action)
        made.setParent(self)
        if name == "compare":
            made.pressed.connect(lambda: self.held.emit(name, True))
            made.released.connect(lambda: self.held.emit(name, False))
        return made


class OptionsBar(QFrame):
    """Options of the tool and of the view, above the canvas."""

    diameter_requested = Signal(float)
    overlay_requested = Signal(str)
    opacity_requested = Signal(float)
    tone_requested = Signal(object)  # Tone

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.diameter = inset(QSpinBox(self, minimum=1, maximum=1024, suffix=" px"))
        self.diameter.setAccessibleName(self.tr("Diameter of the brush in image pixels"))
        self.diameter.setKeyboardTracking(False)
        self.diameter_slider = QSlider(Qt.Orientation.Horizontal, self)
        self.diameter_slider.setRange(0, 100)
        self.diameter_slider.setAccessibleName(self.tr("Diameter of the brush"))
        self.overlay = Choice(self.tr("How the mask is drawn"), self)
        for value, text in (("fill", self.tr("Fill")), ("contour", self.tr("Contour")), ("off", self.tr("Off"))):
            self.overlay.addItem(text, value)
        self.opacity = QSlider(Qt.Orientation.Horizontal, self)
        self.opacity.setRange(5, 100)
        self.opacity.setAccessibleName(self.tr("Opacity of the mask"))
        self.zoom = label("100%", "caption")
        self._captions: list[QWidget] = []
        self._parts: list[QWidget] = []
        self.zoom.setAccessibleName(self.tr("Zoom"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, XS, S, XS)
        layout.setSpacing(S)
        pairs: tuple[tuple[str, tuple[QWidget, QWidget]], ...] = (
            (self.tr("Brush"), (self.diameter_slider, self.diameter)),
            (self.tr("Mask"), (self.overlay, self.opacity)),
        )
        for text, widgets in pairs:
            caption = label(text, "caption")
            self._captions.append(caption)
            self._parts += [caption, *widgets]
        for slider in (self.diameter_slider, self.opacity):
            follow(slider, lambda widget: widget.setMinimumWidth(theme.px(44)))
            follow(slider, lambda widget: widget.setMaximumWidth(theme.px(140)))
        follow(self.diameter, lambda widget: widget.setMaximumWidth(theme.px(92)))
        self.tone = ToneButton(self)
        self.tone.panel.tone_requested.connect(self.tone_requested)
        self._parts += [self.tone, self.zoom, *(tool_button(actions[name]) for name in ("fit", "actual"))]
        for widget in self._parts:
            if widget is self.zoom:
                layout.addStretch(1)
            layout.addWidget(widget, 1 if isinstance(widget, QSlider) else 0)
        self.diameter.valueChanged.connect(lambda value: self.diameter_requested.emit(float(value)))
        self.diameter_slider.valueChanged.connect(lambda value: self.diameter_requested.emit(float(_diameter(value))))
        self.overlay.currentIndexChanged.connect(lambda: self.overlay_requested.emit(self.overlay.currentData()))
        self.opacity.valueChanged.connect(lambda value: self.opacity_requested.emit(value / 100))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what keys, tooltips and panels tell too where there is no room for it."""
        super().resizeEvent(event)
        room = self.width() - M - S
        wanted = {part: part.sizeHint().width() + S for part in self._parts}
        for dropped in self._spare():
            fits = sum(wanted.values()) <= room
            for part in dropped:
                part.setVisible(fits)
                if not fits:
                    wanted.pop(part)

    def _spare(self) -> tuple[list[QWidget], ...]:
        """What is left out where there is no room, the first first."""
        return self._captions, [self.zoom], [self.opacity], [self.diameter_slider]

    def minimumSizeHint(self) -> QSize:
        spare = [part for parts in self._spare() for part in parts]
        kept = [part for part in self._parts if part not in spare]
        least = sum(part.minimumSizeHint().expandedTo(part.minimumSize()).width() + S for part in kept)
        return QSize(least + M + S, super().minimumSizeHint().height())

    def show_keys(self, actions: Mapping[str, QAction]) -> None:
        """Tell the keys in the tooltips."""
        smaller, larger, style, fainter, stronger = (
            keys_of(actions[name]).split(", ")[0] for name in ("smaller", "larger", "style", "fainter", "stronger")
        )
        brush = self.tr("Diameter of the brush ({} and {}, or Shift+wheel)").format(smaller, larger)
        self.diameter.setToolTip(brush)
        self.diameter_slider.setToolTip(brush)
        self.overlay.name_it(self.tr("How the mask is drawn"), self.tr("How the mask is drawn ({})").format(style))
        self.opacity.setToolTip(self.tr("Opacity of the mask ({} fainter, {} stronger)").format(fainter, stronger))

    def show_diameter(self, diameter: float) -> None:
        """The diameter in use."""
        self._quietly(self.diameter, round(diameter))
        self._quietly(self.diameter_slider, _slider(diameter))

    def show_view(self, *, overlay: str, opacity: float) -> None:
        """How the mask is drawn."""
        self.overlay.blockSignals(True)
        self.overlay.setCurrentIndex(self.overlay.findData(overlay))
        self.overlay.blockSignals(False)
        self._quietly(self.opacity, round(opacity * 100))

    def show_zoom(self, zoom: float) -> None:
        """Screen pixels per image pixel."""
        self.zoom.setText(f"{zoom:.0%}")

    def _quietly(self, widget: QSlider | QSpinBox, value: int) -> None:
        widget.blockSignals(True)
        widget.setValue(value)
        widget.blockSignals(False)


def _diameter(slider: int) -> int:
    # Exponential: as much travel from 2 to 4 as from 256 to 512.
    return max(1, round(2 ** (slider / 10)))


def _slider(diameter: float) -> int:
    return round(10 * math.log2(max(diameter, 1.0)))


class DecisionBar(QFrame):
    """What to do with the image: back, skip, exclude or restore, accept and next."""

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(S, S, S, S)
        layout.setSpacing(S)
        self._least = 0
        for name in ("previous", "next"):
            layout.addWidget(tool_button(actions[name]))
        self.hint = label("", "caption", elides=True)
        layout.addWidget(self.hint, 1)
        self._buttons = [
            ActionButton(actions[name], role=role, short=short)
            for name, role, short in (
                ("restore", "", ""),
                ("exclude", "quiet", ""),
                ("skip", "", ""),
                ("commit", "primary", self.tr("Accept")),
            )
        ]
        for made in self._buttons:
            layout.addWidget(made)
        follow(self, DecisionBar._fit)

    def _fit(self) -> None:
        """Icons only where the window is too narrow for words; the main button keeps one."""
        self._shorten(len(self._buttons))
        self._least = super().minimumSizeHint().width()
        for count in (0, len(self._buttons) - 1, len(self._buttons)):  # a word beside an icon alone looks like a slip
            self._shorten(count)
            if super().minimumSizeHint().width() <= self.width():
                break

    def _shorten(self, count: int) -> None:
        for at, made in enumerate(self._buttons):
            made.set_compact(at < count)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        # In every language and size of text the main button keeps a word.
        return QSize(max(self._least, theme.px(220)), super().minimumSizeHint().height())
