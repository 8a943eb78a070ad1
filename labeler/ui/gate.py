"""The threshold: a histogram of the confidences with a line that can be dragged, and its figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QDoubleSpinBox, QGridLayout, QSizePolicy, QWidget

from labeler.ui.controls import icon_button, inset, label
from labeler.ui.theme import XS, S, follow, theme
from labeler.ui.wording import gate_text

BINS = 50
KNOWN = 0.5  # of the masks, whose chance to be wrong must be known before their mean is told
_ASK_MS = 120  # a drag asks for a new gate at most this often


def expected_wrong(wrong: NDArray[np.float64]) -> float | None:
    """Mean chance to be wrong; None where that of more than half is not known."""
    known = wrong[np.isfinite(wrong)]
    return float(known.mean()) if len(known) and len(known) >= KNOWN * len(wrong) else None


class Histogram(QWidget):
    """Bars of the confidences, the accepted side in the accepted colour; the line moves by mouse and arrow keys."""

    moved = Signal(float)  # while dragging
    released = Signal()
    range_requested = Signal(float, float)  # confidences of the bar whose images are wanted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._heights = np.zeros(BINS)
        self.threshold = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        follow(self, lambda widget: widget.updateGeometry())

    def sizeHint(self) -> QSize:
        return QSize(theme.px(160), theme.px(58))

    def show_confidences(self, confidences: NDArray[np.float64]) -> None:
        """Draw the distribution of confidences in 0..1."""
        counts = np.histogram(confidences, BINS, (0, 1))[0].astype(float)
        # The square root keeps a bar of one image visible beside one of thousands.
        self._heights = np.sqrt(counts / counts.max()) if counts.max() > 0 else counts
        self.update()

    def show_threshold(self, threshold: float) -> None:
        """Move the line."""
        self.threshold = threshold
        self.update()

    def _span(self) -> tuple[float, float]:
        edge = theme.px(6)
        return edge, self.width() - 2.0 * edge

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = theme.colours
        left, width = self._span()
        top, floor = theme.px(8), self.height() - theme.px(6)
        painter.fillRect(QRectF(left, floor, width, 1), QColor(colours.border))
        bar = width / BINS
        for number, height in enumerate(self._heights):
            if height <= 0:
                continue
            accepted = (number + 0.5) / BINS >= self.threshold
            tall = max(2.0, height * (floor - top))
            colour = QColor(colours.good if accepted else colours.warn)
            painter.fillRect(QRectF(left + number * bar + 0.5, floor - tall, max(1.0, bar - 1), tall), colour)
        x = left + self.threshold * width
        painter.setPen(QPen(QColor(colours.accent if self.hasFocus() else colours.text), theme.px(2)))
        painter.drawLine(QPointF(x, theme.px(4)), QPointF(x, floor))
        painter.setBrush(painter.pen().color())
        painter.setPen(Qt.PenStyle.NoPen)
        half = theme.px(5)
        painter.drawPolygon(QPolygonF([QPointF(x - half, 0), QPointF(x + half, 0), QPointF(x, half * 1.4)]))

    def _drag(self, event: QMouseEvent) -> None:
        left, width = self._span()
        self.moved.emit(min(max((event.position().x() - left) / width, 0.0), 1.0))

    def _ask_for_bar(self, confidence: float) -> None:
        number = min(max(int(confidence * BINS + 1e-9), 0), BINS - 1)
        if self._heights[number] > 0:
            self.range_requested.emit(number / BINS, (number + 1) / BINS)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._drag(event)
        elif event.button() is Qt.MouseButton.RightButton:
            left, width = self._span()
            self._ask_for_bar((event.position().x() - left) / width)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.released.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._ask_for_bar(self.threshold)
            return
        step = {Qt.Key.Key_Left: -0.01, Qt.Key.Key_Right: 0.01}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        self.moved.emit(min(max(round(self.threshold + step, 4), 0.0), 1.0))
        self.released.emit()


class GatePanel(QWidget):
    """Histogram, figure, what the threshold accepts, and a way back."""

    threshold_requested = Signal(float)
    undo_requested = Signal()
    range_requested = Signal(float, float)  # lowest and highest confidence of the images that are wanted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._confidences = np.zeros(0)
        self._wrong = np.zeros(0)
        self._kept = np.zeros(0, bool)
        self._calibrated = True
        self._wanted: float | None = None
        self._certified: float | None = None
        self.title = label(self.tr("Accept from"), "section")
        self.figure = inset(QDoubleSpinBox(self, decimals=4, minimum=0.0, maximum=1.0, singleStep=0.01))
        self.figure.setKeyboardTracking(False)
        self.figure.setAccessibleName(self.tr("Threshold: confidence from which a mask is accepted"))
        self.figure.setToolTip(self.tr("Threshold: confidence (predicted IoU) from which a mask is accepted"))
        self.title.setBuddy(self.figure)
        self.undo = icon_button("undo", self.tr("Undo the change of the threshold"))
        self.histogram = Histogram(self)
        self.histogram.setAccessibleName(self.tr("Histogram of confidences with the threshold; arrow keys move it"))
        tip = self.tr("Drag moves the threshold; a right click on a bar, or Return at the line, shows its images")
        self.histogram.setToolTip(tip)
        self.histogram.range_requested.connect(self.range_requested)
        self.effect = label("", "caption", wraps=True)
        layout = QGridLayout(self)
        layout.setHorizontalSpacing(XS)
        layout.setVerticalSpacing(XS)
        layout.setContentsMargins(S, S, S, S)
        layout.addWidget(self.title, 0, 0, 1, 3)
        layout.addWidget(self.effect, 3, 0, 1, 3)
        layout.addWidget(self.figure, 1, 0)
        layout.addWidget(self.undo, 1, 1)
        layout.setColumnStretch(2, 1)
        layout.addWidget(self.histogram, 2, 0, 1, 3)
        self._asking = QTimer(self, singleShot=True, interval=_ASK_MS)
        self._asking.timeout.connect(self._ask)
        self.histogram.moved.connect(self._preview)
        self.histogram.released.connect(self._ask)
        self.figure.valueChanged.connect(self._typed)
        self.undo.clicked.connect(self.undo_requested)

    def show_confidences(
        self,
        confidences: NDArray[np.float64],
        wrong: NDArray[np.float64] | None = None,
        kept: NDArray[np.bool_] | None = None,
    ) -> None:
        """The confidences of all images that no person has decided on, and their chances to be wrong; nan: unknown.

        ``kept``: which of them wait for a person whatever the threshold.
        """
        self._confidences = np.asarray(confidences, float)
        self._kept = np.zeros(len(self._confidences), bool) if kept is None else kept
        self._wrong = np.full(len(self._confidences), np.nan) if wrong is None else np.asarray(wrong, float)
        self.histogram.show_confidences(self._confidences)
        self._explain(self.histogram.threshold)

    def show_risk(self, certified: float | None, *, is_calibrated: bool) -> None:
        """The certified share of wrong ones or None, and whether confidences have been compared with anything."""
        self._certified, self._calibrated = certified, is_calibrated
        self._explain(self.histogram.threshold)

    def show_threshold(self, threshold: float, *, can_undo: bool) -> None:
        """The threshold in force."""
        if self._wanted is None:
            self._draw(threshold)
        self.undo.setEnabled(can_undo)

    def _draw(self, threshold: float) -> None:
        self.histogram.show_threshold(threshold)
        self.figure.blockSignals(True)
        self.figure.setValue(threshold)
        self.figure.blockSignals(False)
        self._explain(threshold)

    def _explain(self, threshold: float) -> None:
        above = self._confidences >= threshold
        chosen = above & ~self._kept
        self.effect.setText(
            gate_text(
                int(chosen.sum()),
                len(self._confidences),
                expected=expected_wrong(self._wrong[chosen]),
                certified=self._certified,
                is_calibrated=self._calibrated,
                kept=int((above & self._kept).sum()),
            )
        )

    def _preview(self, threshold: float) -> None:
        self._wanted = round(threshold, 4)
        self._draw(self._wanted)

    def _typed(self, threshold: float) -> None:
        self._wanted = threshold
        self._draw(threshold)
        self._asking.start()

    def _ask(self) -> None:
        self._asking.stop()
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.threshold_requested.emit(wanted)
