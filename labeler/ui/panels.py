"""The panels around the canvas: tool column, options of tool and view, decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QSlider, QSpinBox, QToolButton, QVBoxLayout, QWidget

from labeler.ui.controls import label, push_button, rule, tool_button
from labeler.ui.theme import XS, M, S

TOOLS = ("brush", "eraser", "polygon_add", "polygon_subtract", "pan")
_COLUMN: tuple[tuple[str, ...], ...] = (
    TOOLS,
    ("undo", "redo"),
    ("fill_holes", "remove_specks", "invert", "revert"),
    ("overlay", "style", "compare"),
    ("fit",),
)


class ToolColumn(QFrame):
    """The slim column of tools at the left of the canvas."""

    held = Signal(str, bool)  # an action that acts while its button is down

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.setAccessibleName(self.tr("Tools"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XS, S, XS, S)
        layout.setSpacing(2)
        group = QActionGroup(self)
        for tool in TOOLS:
            group.addAction(actions[tool])
        for number, names in enumerate(_COLUMN):
            if number:
                layout.addSpacing(3)
                layout.addWidget(rule())
                layout.addSpacing(3)
            for name in names:
                layout.addWidget(self._button(name, actions[name]), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)

    def _button(self, name: str, action: QAction) -> QToolButton:
        made = tool_button(action)
        if name == "compare":
            made.pressed.connect(lambda: self.held.emit(name, True))
            made.released.connect(lambda: self.held.emit(name, False))
        return made


class OptionsBar(QFrame):
    """Options of the tool and of the view, above the canvas."""

    diameter_requested = Signal(float)
    overlay_requested = Signal(str)
    opacity_requested = Signal(float)

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.diameter = QSpinBox(self, minimum=1, maximum=1024, suffix=" px")
        self.diameter.setAccessibleName(self.tr("Diameter of the brush in image pixels"))
        self.diameter.setToolTip(self.tr("Diameter of the brush ([ and ], or Shift+wheel)"))
        self.diameter.setKeyboardTracking(False)
        self.size = QSlider(Qt.Orientation.Horizontal, self, minimum=0, maximum=100)
        self.size.setAccessibleName(self.tr("Diameter of the brush"))
        self.size.setToolTip(self.diameter.toolTip())
        self.overlay = QComboBox(self)
        self.overlay.setAccessibleName(self.tr("How the mask is drawn"))
        self.overlay.setToolTip(self.tr("How the mask is drawn (C)"))
        for value, text in (("fill", self.tr("Fill")), ("contour", self.tr("Contour")), ("off", self.tr("Off"))):
            self.overlay.addItem(text, value)
        self.opacity = QSlider(Qt.Orientation.Horizontal, self, minimum=5, maximum=100)
        self.opacity.setAccessibleName(self.tr("Opacity of the mask"))
        self.opacity.setToolTip(self.tr("Opacity of the mask (I fainter, O stronger)"))
        self.zoom = label("100 %", "caption")
        self.zoom.setAccessibleName(self.tr("Zoom"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, XS, S, XS)
        layout.setSpacing(S)
        for text, widgets in (
            (self.tr("Brush"), (self.size, self.diameter)),
            (self.tr("Mask"), (self.overlay, self.opacity)),
        ):
            layout.addWidget(label(text, "caption"))
            for widget in widgets:
                layout.addWidget(widget, 1 if isinstance(widget, QSlider) else 0)
            layout.addSpacing(S)
        for slider in (self.size, self.opacity):
            slider.setMinimumWidth(48)
            slider.setMaximumWidth(140)
        layout.addStretch(1)
        layout.addWidget(self.zoom)
        for name in ("fit", "actual"):
            layout.addWidget(tool_button(actions[name]))
        self.diameter.valueChanged.connect(lambda value: self.diameter_requested.emit(float(value)))
        self.size.valueChanged.connect(lambda value: self.diameter_requested.emit(float(_diameter(value))))
        self.overlay.currentIndexChanged.connect(lambda: self.overlay_requested.emit(self.overlay.currentData()))
        self.opacity.valueChanged.connect(lambda value: self.opacity_requested.emit(value / 100))

    def show_diameter(self, diameter: float) -> None:
        """The diameter in use."""
        self._quietly(self.diameter, round(diameter))
        self._quietly(self.size, _slider(diameter))

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
        for name in ("previous", "next"):
            layout.addWidget(tool_button(actions[name]))
        self.hint = label("", "caption", elides=True)
        layout.addWidget(self.hint, 1)
        for name, role in (("restore", ""), ("exclude", "quiet"), ("skip", ""), ("commit", "primary")):
            layout.addWidget(push_button(actions[name], role=role))
