"""The Training panel: the round that runs, its curves, and how the new model did against the old."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from labeler.records import Progress
from labeler.ui.controls import FlowLayout, label
from labeler.ui.plots import Plot, pen, thinned
from labeler.ui.theme import XS, M, S, dress, follow, theme
from labeler.ui.wording import phase_name, seconds_left, time_left


class TrainingPanel(QWidget):
    """The round that runs: phase, loss, IoU on the core, and start, pause, stop."""

    start_requested = Signal()
    pause_requested = Signal(bool)
    stop_requested = Signal()
    image_requested = Signal(int)
    core_requested = Signal()  # the images behind a curve

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.phase = label(self.tr("No round runs."), "", wraps=True)
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(self.tr("Progress of the round"))
        self.start = self._button(self.tr("Train"), "play", self.start_requested.emit)
        self.pause = self._button(self.tr("Pause"), "pause", self._toggle_pause)
        self.stop = self._button(self.tr("Stop"), "stop", self.stop_requested.emit)
        self.loss = Plot(self.tr("Loss over the steps of the round"), bottom="")
        self.iou = Plot(self.tr("IoU on the core over the steps of the round"), bottom=self.tr("step"), unit_range=True)
        self.loss_title = label(self.tr("Loss"), "section", wraps=True)
        self.iou_title = label(self.tr("IoU on the core"), "section", wraps=True)
        self.duel_title = label(self.tr("New model against the old one"), "section", wraps=True)
        self.duel = Plot(self.tr("IoU of each holdout label: new model over old model"), bottom=self.tr("old model"))
        self.duel.setYRange(0, 1, padding=0.04)
        self.duel.setXRange(0, 1, padding=0.04)
        self.duel.setToolTip(self.tr("Above the line the new model is better; a click on a point shows its image"))
        self._even = self.duel.plot([0, 1], [0, 1])
        self._duels = pg.ScatterPlotItem(size=9, hoverable=True, hoverSize=13, pen=None)
        self._duels.sigClicked.connect(self._ask_for_image)
        self.duel.addItem(self._duels)
        self.empty = label(
            self.tr(
                "A round trains on all your labels. Its loss, and how the new model does beside the old, appear here."
            ),
            "muted",
            wraps=True,
        )
        self._loss_line, self._iou_line = self.loss.plot(), self.iou.plot(symbol="o", symbolSize=5)
        for plot, line in ((self.loss, self._loss_line), (self.iou, self._iou_line)):
            plot.setToolTip(self.tr("Over all labels that are trained on; a click on the curve lists their images"))
            line.setCurveClickable(True, width=10)
            line.sigClicked.connect(lambda: self.core_requested.emit())
        self._series: dict[str, tuple[list[float], list[float]]] = {}
        self._fought: Sequence[tuple[int, float, float]] = ()
        self._paused = False
        self._step, self._steps = 0, 0  # of the round: done, planned
        self._phase, self._phase_begun = "", 0.0
        self._buttons = QWidget()
        buttons = FlowLayout(self._buttons, spacing=XS, rows_apart=XS)
        buttons.setContentsMargins(0, 0, 0, 0)
        for made in (self.start, self.pause, self.stop):
            buttons.addWidget(made)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(S)
        layout.addWidget(self.phase)
        layout.addWidget(self.progress)
        layout.addWidget(self._buttons)
        layout.addWidget(self.empty)
        self._curves = ((self.loss_title, self.loss), (self.iou_title, self.iou), (self.duel_title, self.duel))
        for title, plot in self._curves:
            layout.addWidget(title)
            layout.addWidget(plot, 1)
        layout.addStretch(1)
        follow(self, TrainingPanel._draw)
        self.end(self.tr("No round runs."))

    def _button(self, text: str, icon: str, slot: Callable[[], object]) -> QPushButton:
        made = QPushButton(f" {text}")
        made.setAccessibleName(text)
        follow(made, lambda widget: widget.setIconSize(QSize(theme.px(14), theme.px(14))))
        dress(made, icon)
        made.clicked.connect(lambda: slot())
        return made

    def begin(self) -> None:
        """A round has started: fresh curves."""
        self._series.clear()
        self._fought = ()
        self._step = 0
        self._running(True)
        self.progress.setRange(0, 0)
        self.phase.setText(self.tr("The round is being prepared."))
        self._draw()

    def advance(self, progress: Progress) -> None:
        """One step of the round."""
        if not self.stop.isEnabled():  # the panel was made while the round ran
            self.begin()
        text = phase_name(progress.phase)
        counted = f"{text} · {progress.done:,}/{progress.total:,}" if progress.total else text
        self.phase.setText(counted + self._left(progress))
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)
        if progress.phase == "training":
            if progress.done < self._step:  # begun anew, with a smaller batch or another rate
                self._series.clear()
            self._step, self._steps = progress.done, progress.total
        for name, value in progress.metrics.items():
            steps, values = self._series.setdefault(name, ([], []))
            steps.append(self._step)  # other phases count something else
            values.append(value)
        if progress.metrics:
            self._draw()

    def _left(self, progress: Progress) -> str:
        if progress.phase != self._phase:
            self._phase, self._phase_begun = progress.phase, time.monotonic()
        left = seconds_left(progress, time.monotonic() - self._phase_begun)
        return f" · {time_left(left)}" if left else ""

    def end(self, sentence: str) -> None:
        """The round has ended; the curves stay."""
        self._running(False)
        self.phase.setText(sentence)
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self._draw()

    def show_duels(self, duels: Sequence[tuple[int, float, float]]) -> None:
        """How the round's model did on each holdout label: image_id, IoU of the model before, IoU of the new one."""
        self._fought = duels
        self._draw()

    def _ask_for_image(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            self.image_requested.emit(int(points[0].data()))

    def allow_start(self, why_not: str) -> None:
        """Whether a round can be started; ``why_not`` is empty or a sentence."""
        running = self.stop.isEnabled()
        self.start.setEnabled(not running and not why_not)
        self.start.setToolTip(why_not or self.tr("Train on all labels now (Ctrl+T)"))

    def _running(self, running: bool) -> None:
        self.start.setEnabled(not running)
        self.pause.setEnabled(running)
        self.stop.setEnabled(running)
        self.progress.setVisible(running)
        self._show_paused(False)

    def _toggle_pause(self) -> None:
        self._show_paused(not self._paused)
        self.pause_requested.emit(self._paused)

    def _show_paused(self, paused: bool) -> None:
        self._paused = paused
        text = self.tr("Go on") if paused else self.tr("Pause")
        self.pause.setText(f" {text}")
        self.pause.setAccessibleName(text)

    def _draw(self) -> None:
        empty: tuple[list[float], list[float]] = ([], [])
        steps, loss = self._series.get("loss", empty)
        self._loss_line.setData(thinned(steps), thinned(loss), pen=pen("accent"))
        checks, iou = self._series.get("core_iou", empty)
        good = QColor(theme.colours.good)
        self._iou_line.setData(checks, iou, pen=pen("good"), symbolBrush=good, symbolPen=None)
        self._even.setData([0, 1], [0, 1], pen=pen("border", dashed=True))
        self._duels.setData(
            [
                {
                    "pos": (old, new),
                    "data": image_id,
                    "brush": QColor(theme.colours.good if new >= old else theme.colours.bad),
                }
                for image_id, old, new in self._fought
            ]
        )
        ran = bool(steps) or self.stop.isEnabled()
        for (title, plot), shown in zip(self._curves, (ran, ran, bool(self._fought)), strict=True):
            title.setVisible(shown)
            plot.setVisible(shown)
        self.empty.setVisible(not ran)
        for plot in (self.loss, self.iou):
            plot.setXRange(0, max(self._steps, 100), padding=0.02)
        self.loss_title.setText(self.tr("Loss") + (f"  {loss[-1]:.3f}" if loss else ""))
        self.iou_title.setText(self.tr("IoU on the core") + (f"  {iou[-1]:.3f}" if iou else ""))
