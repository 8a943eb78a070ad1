"""The inspector: what the program knows about the image on the canvas, and the class to paint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QFormLayout,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from labeler.records import ImageRecord, ImageState
from labeler.ui.controls import FlowLayout, PlainLabel, label, plain_tip
from labeler.ui.history import History
from labeler.ui.theme import XS, M, S, class_colour, follow, state_colour, theme
from labeler.ui.wording import percent, state_name, times, why_here

_KEYS = 9  # classes that a number key takes in hand


class ConfidenceBar(QWidget):
    """Confidence from 0 to 1 with a tick at the threshold."""

    def __init__(self) -> None:
        super().__init__()
        self._confidence, self._threshold = 0.0, 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        follow(self, lambda widget: widget.setFixedHeight(theme.px(12)))

    def show_confidence(self, confidence: float, threshold: float) -> None:
        """Both in 0..1."""
        self._confidence, self._threshold = confidence, threshold
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        thick, radius = theme.px(6), theme.px(3)
        top = (self.height() - thick) // 2
        painter.setBrush(QColor(theme.colours.sunken))
        painter.drawRoundedRect(0, top, self.width(), thick, radius, radius)
        surely = self._confidence >= self._threshold
        painter.setBrush(state_colour(ImageState.ACCEPTED if surely else ImageState.QUEUED))
        painter.drawRoundedRect(0, top, round(self.width() * self._confidence), thick, radius, radius)
        x = round((self.width() - theme.px(2)) * self._threshold)
        painter.fillRect(x, 0, theme.px(2), self.height(), QColor(theme.colours.text))


class Inspector(QWidget):
    """Renders one record; emits the class that was picked."""

    class_requested = Signal(int)
    colour_requested = Signal(int, str)  # pixel value of a class, #rrggbb

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = label("", "title", elides=True)
        self.path = label("", "caption", elides=True)
        self.why = label("", "muted", wraps=True)
        self.figure = label("", "figure")
        self.meaning = label(self.tr("confidence, the predicted IoU"), "caption", wraps=True)
        self.bar = ConfidenceBar()
        self.facts = QFormLayout()
        self.facts.setContentsMargins(0, 0, 0, 0)
        self.facts.setHorizontalSpacing(M)
        self.facts.setVerticalSpacing(2)
        self.facts.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self._values = {
            name: self._fact(text)
            for name, text in (
                ("state", self.tr("State")),
                ("model", self.tr("Model")),
                ("wrong", self.tr("Wrong with")),
                ("soft", self.tr("Soft IoU")),
                ("stability", self.tr("Stability")),
                ("foreground", self.tr("Covers")),
                ("size", self.tr("Size")),
                ("skips", self.tr("Skipped")),
            )
        }
        self._classes = QButtonGroup(self)
        self._classes.idClicked.connect(self.class_requested)
        self._class_rows = QWidget()
        self._class_flow = FlowLayout(self._class_rows, spacing=XS, rows_apart=XS)
        self._class_flow.setContentsMargins(0, 0, 0, 0)
        self.history = History()
        self._lay_out()
        self.clear()

    def _fact(self, text: str) -> tuple[PlainLabel, PlainLabel]:
        name, value = label(text, "caption"), label("", wraps=True)
        self.facts.addRow(name, value)
        return name, value

    def _lay_out(self) -> None:
        score = QHBoxLayout()
        score.setSpacing(S)
        score.addWidget(self.figure, 0, Qt.AlignmentFlag.AlignBottom)
        score.addWidget(self.meaning, 1, Qt.AlignmentFlag.AlignBottom)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(S)
        title = QVBoxLayout()
        title.setSpacing(0)
        title.addWidget(self.name)
        title.addWidget(self.path)
        layout.addLayout(title)
        layout.addLayout(score)
        layout.addWidget(self.bar)
        layout.addWidget(self.why)
        layout.addLayout(self.facts)
        self._class_title = label(self.tr("Paint class"), "section")
        layout.addSpacing(XS)
        layout.addWidget(self._class_title)
        layout.addWidget(self._class_rows)
        layout.addSpacing(XS)
        layout.addWidget(self.history)
        layout.addStretch(1)

    def clear(self) -> None:
        """No image is shown."""
        self.name.setText(self.tr("No image"))
        self.path.setText("")
        for widget in (self.figure, self.meaning, self.bar):
            widget.hide()
        self.why.setText(self.tr("Choose one on the left."))
        self.history.show_versions([])
        for name, value in self._values.values():
            name.hide()
            value.hide()

    def show_record(self, record: ImageRecord, threshold: float, *, calibrated: bool = False) -> None:
        """Render one record; the score of a probe that waits is not shown: it must not sway its judge."""
        self.name.setText(record.path.name)
        self.path.setText(str(record.path.parent))
        self.path.setToolTip(plain_tip(str(record.path)))
        blind = record.probe and record.state is ImageState.QUEUED
        scored = record.confidence is not None and not blind
        meaning = self.tr("confidence, the predicted IoU")
        self.meaning.setText(meaning if calibrated else meaning + self.tr(" · not calibrated yet"))
        for widget in (self.figure, self.meaning, self.bar):
            widget.setVisible(scored)
        if record.confidence is not None:
            self.figure.setText(f"{record.confidence:.3f}")
            self.bar.show_confidence(record.confidence, threshold)
            self.bar.setAccessibleName(self.tr("Confidence {:.3f}").format(record.confidence))
        self.why.setText(why_here(record, threshold))
        facts = {
            "state": state_name(record.state),
            "model": "" if record.model_version is None else self.tr("v{}").format(record.model_version),
            "wrong": percent(record.signals["wrong"], digits=1) if "wrong" in record.signals and not blind else "",
            "soft": "" if record.soft_iou is None or blind else f"{record.soft_iou:.3f}",
            "stability": "" if record.stability is None or blind else f"{record.stability:.3f}",
            "foreground": "" if record.foreground is None else percent(record.foreground, digits=1),
            "size": f"{record.width:,} × {record.height:,}" if record.width else "",
            "skips": "" if not record.skips else times(record.skips),
        }
        for key, (name, value) in self._values.items():
            value.setText(facts[key])
            name.setVisible(bool(facts[key]))
            value.setVisible(bool(facts[key]))

    def show_classes(self, names: Sequence[str]) -> None:
        """Offer these classes; the first has pixel value 1."""
        for button in self._classes.buttons():
            self._classes.removeButton(button)
            self._class_flow.removeWidget(button)
            button.hide()  # it is deleted a little later
            button.deleteLater()
        for value, name in enumerate(names, 1):
            button = QToolButton(self._class_rows)
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            # A single & would be read as the mark of a mnemonic.
            button.setText(" " + name.replace("&", "&&"))
            button.setAccessibleName(self.tr("Class {}").format(name))
            paints = self.tr("Paint this class ({})").format(value) if value <= _KEYS else self.tr("Paint this class")
            button.setToolTip(paints + "\n" + self.tr("Right click for another colour"))
            button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)  # the menu key asks for it too
            button.customContextMenuRequested.connect(partial(self._ask_for_colour, value))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            follow(button, partial(_show_swatch, value=value))
            self._classes.addButton(button, value)
            self._class_flow.addWidget(button)
            button.show()
        self._class_title.setVisible(bool(names))
        self.show_class(1)

    def _ask_for_colour(self, value: int, _where: QPoint) -> None:
        """A dialog, not modal to the event loop: whatever is chosen is asked of the project."""
        dialog = QColorDialog(class_colour(value), self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        name = self._classes.button(value).text().strip().replace("&&", "&")
        dialog.setWindowTitle(self.tr("Colour of {}").format(name))
        dialog.colorSelected.connect(lambda colour: self.colour_requested.emit(value, colour.name()))
        dialog.open()

    def show_class(self, value: int) -> None:
        """The class that is painted."""
        button = self._classes.button(value)
        if button is not None:
            button.setChecked(True)


def _show_swatch(button: QToolButton, *, value: int) -> None:
    button.setIcon(_swatch(value))
    button.setIconSize(QSize(theme.px(18), theme.px(18)))


def _swatch(value: int) -> QIcon:
    """The colour of a class, with the key that takes it in hand."""
    side = 4 * theme.px(18)  # drawn large, for dense screens
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    colour = class_colour(value)
    painter.setBrush(colour)
    painter.drawRoundedRect(pixmap.rect().adjusted(2, 2, -2, -2), side / 4, side / 4)
    if value <= _KEYS:
        font = QFont(theme.font(bold=True))
        font.setPixelSize(round(side * 0.62))
        painter.setFont(font)
        painter.setPen(QColor("#FFFFFF" if colour.lightnessF() < 0.4 else "#14181E"))
        painter.drawText(pixmap.rect(), Qt.AlignmentFlag.AlignCenter, str(value))
    painter.end()
    return QIcon(pixmap)
