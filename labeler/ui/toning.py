"""Brightness, contrast, gamma and channel of the display, in a small panel that opens from the options bar."""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QSlider, QToolButton, QWidget

from labeler.ui.controls import Choice, label
from labeler.ui.layers import Tone
from labeler.ui.theme import M, S, dress, follow, theme

_STEPS = 100  # of a slider to either side of neutral
_WIDEST = 4.0  # contrast and gamma go from its inverse to it


class TonePanel(QFrame):
    """Sliders around neutral; nothing that is stored changes."""

    tone_requested = Signal(object)  # Tone

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "card")
        self.setAccessibleName(self.tr("Display of the image"))
        grid = QGridLayout(self)
        grid.setContentsMargins(M, M, M, M)
        grid.setHorizontalSpacing(M)
        grid.setVerticalSpacing(S)
        self.sliders: list[QSlider] = []
        self._figures: list[QLabel] = []
        for row, text in enumerate((self.tr("Brightness"), self.tr("Contrast"), self.tr("Gamma"))):
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(-_STEPS, _STEPS)
            slider.setAccessibleName(text)
            slider.setToolTip(text)
            slider.valueChanged.connect(self._ask)
            figure = label("", "caption")
            self.sliders.append(slider)
            self._figures.append(figure)
            for column, widget in enumerate((label(text), slider, figure)):
                grid.addWidget(widget, row, column)
        self.channel = Choice(self.tr("Channel"))
        self.channel.name_it(self.tr("Channel"), self.tr("Channel of a colour image that is shown"))
        for text, value in (
            (self.tr("All channels"), None),
            (self.tr("Red"), 0),
            (self.tr("Green"), 1),
            (self.tr("Blue"), 2),
        ):
            self.channel.addItem(text, value)
        self.channel.currentIndexChanged.connect(self._ask)
        grid.addWidget(label(self.tr("Channel")), 3, 0)
        grid.addWidget(self.channel, 3, 1, 1, 2)
        self.reset = QPushButton(self.tr("As stored"))
        self.reset.setAccessibleName(self.tr("Show the image as it is stored"))
        self.reset.setToolTip(self.tr("Show the image as it is stored"))
        self.reset.clicked.connect(lambda: self.tone_requested.emit(Tone()))
        grid.addWidget(label(self.tr("Only the display changes."), "caption"), 4, 0, 1, 2)
        grid.addWidget(self.reset, 4, 2)
        follow(self, TonePanel._size)
        self.show_tone(Tone())

    def _size(self) -> None:
        self.setFixedWidth(theme.px(320))
        for figure in self._figures:
            figure.setMinimumWidth(theme.px(36))

    def show_tone(self, tone: Tone) -> None:
        """Render a tone."""
        values = (tone.brightness, _exponent(tone.contrast), _exponent(tone.gamma))
        texts = (f"{tone.brightness:+.2f}", f"× {tone.contrast:.2f}", f"{tone.gamma:.2f}")
        for slider, figure, value, text in zip(self.sliders, self._figures, values, texts, strict=True):
            slider.blockSignals(True)
            slider.setValue(round(value * _STEPS))
            slider.blockSignals(False)
            figure.setText(text)
        self.channel.blockSignals(True)
        self.channel.setCurrentIndex(0 if tone.channel is None else tone.channel + 1)
        self.channel.blockSignals(False)

    def _ask(self) -> None:
        brightness, contrast, gamma = (slider.value() / _STEPS for slider in self.sliders)
        self.tone_requested.emit(Tone(brightness, _WIDEST**contrast, _WIDEST**gamma, self.channel.currentData()))


class ToneButton(QToolButton):
    """Opens the panel below itself; pressed in while anything but the stored values is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panel = TonePanel(self)
        self.setCheckable(True)
        text = self.tr("Brightness, contrast and channel")
        self.setToolTip(text)
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        dress(self, "tone")
        follow(self, lambda widget: widget.setIconSize(theme.icon_size()))
        self.clicked.connect(self._open)
        self._changed = False

    def show_tone(self, tone: Tone) -> None:
        """Render a tone."""
        self._changed = tone != Tone()
        self.setChecked(self._changed)
        self.panel.show_tone(tone)

    def _open(self) -> None:
        self.setChecked(self._changed)
        self.panel.adjustSize()
        self.panel.move(self.mapToGlobal(QPoint(0, self.height() + 2)))
        self.panel.show()

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()


def _exponent(factor: float) -> float:
    return math.log(max(factor, 1e-3), _WIDEST)
