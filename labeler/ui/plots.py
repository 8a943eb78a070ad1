"""Live curves: the Training panel and the Progress panel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from labeler.records import Progress, VersionRecord, VersionStatus
from labeler.ui.controls import FlowLayout, label
from labeler.ui.theme import XS, M, S, dress, follow, theme
from labeler.ui.wording import phase_name, seconds_left, time_left

_POINTS_DRAWN = 2000  # a curve of more points is thinned before it is drawn


@dataclass(frozen=True, slots=True)
class Curves:
    """The series of the Progress panel; a point per streamed image or per round, oldest first."""

    streamed: Sequence[float] | NDArray[Any] = ()  # number of images seen
    surfaced: Sequence[float] | NDArray[Any] = ()  # share of them that needed a person, 0..1
    core: Sequence[float] = ()  # size of the core after each round
    versions: Sequence[VersionRecord] = ()


class Plot(pg.PlotWidget):
    """A plot in the theme's colours, without mouse zoom: it always shows the whole."""

    def __init__(self, name: str, *, bottom: str, unit_range: bool = False) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.setFrameShape(pg.QtWidgets.QFrame.Shape.NoFrame)
        self._bottom = bottom
        item = self.getPlotItem()
        item.setTitle(None)
        for side in ("left", "bottom"):
            item.getAxis(side).enableAutoSIPrefix(False)
        if unit_range:
            self.setYRange(0, 1, padding=0.04)
        follow(self, Plot._dress)
        follow(self, lambda plot: plot.setMaximumHeight(theme.px(240)))

    def sizeHint(self) -> QSize:
        return QSize(120, theme.px(130))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, theme.px(110))

    def _dress(self) -> None:
        colours = theme.colours
        self.setBackground(colours.window)
        item = self.getPlotItem()
        item.showGrid(x=False, y=True, alpha=0.18)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(colours.border)
            axis.setTextPen(colours.muted)
            axis.setTickFont(theme.font("caption"))
            axis.setStyle(tickLength=-4, hideOverlappingLabels=True)
        item.getAxis("left").setWidth(theme.px(40))
        if self._bottom:
            item.setLabel("bottom", self._bottom, color=colours.muted, **{"font-size": f"{theme.px(11)}px"})
        item.getAxis("bottom").setHeight(theme.px(40 if self._bottom else 22))


def _pen(role: str, *, dashed: bool = False) -> object:
    style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
    return pg.mkPen(getattr(theme.colours, role), width=2, style=style)


def _thinned(values: Sequence[float] | NDArray[Any]) -> Sequence[float] | NDArray[Any]:
    step = max(1, len(values) // _POINTS_DRAWN)
    # The newest point is always kept.
    return values if step == 1 else [*values[:-1:step], values[-1]]


class TrainingPanel(QWidget):
    """The round that runs: phase, loss, IoU on the core, and start, pause, stop."""

    start_requested = Signal()
    pause_requested = Signal(bool)
    stop_requested = Signal()

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
        self.loss_title = label(self.tr("Loss"), "section")
        self.iou_title = label(self.tr("IoU on the core"), "section")
        self._loss_line, self._iou_line = self.loss.plot(), self.iou.plot(symbol="o", symbolSize=5)
        self._series: dict[str, tuple[list[float], list[float]]] = {}
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
        for title, plot in ((self.loss_title, self.loss), (self.iou_title, self.iou)):
            layout.addWidget(title)
            layout.addWidget(plot, 1)
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
        self._loss_line.setData(_thinned(steps), _thinned(loss), pen=_pen("accent"))
        checks, iou = self._series.get("core_iou", empty)
        good = QColor(theme.colours.good)
        self._iou_line.setData(checks, iou, pen=_pen("good"), symbolBrush=good, symbolPen=None)
        for plot in (self.loss, self.iou):
            plot.setXRange(0, max(self._steps, 100), padding=0.02)
        self.loss_title.setText(self.tr("Loss") + (f"  {loss[-1]:.3f}" if loss else ""))
        self.iou_title.setText(self.tr("IoU on the core") + (f"  {iou[-1]:.3f}" if iou else ""))


class ProgressPanel(QWidget):
    """How the work goes: share surfaced, core size, holdout IoU of every version; a click offers a way back."""

    rollback_requested = Signal(int)
    round_requested = Signal(int)  # the first is 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves = Curves()
        self._chosen: VersionRecord | None = None
        self.surfaced = Plot(
            self.tr("Share of the stream that needed a person"), bottom=self.tr("images seen"), unit_range=True
        )
        self.core = Plot(self.tr("Size of the core after each round"), bottom=self.tr("round"))
        self.core.setYRange(0, 20)
        self.versions = Plot(
            self.tr("IoU on the holdout by model version"), bottom=self.tr("model version"), unit_range=True
        )
        self._surfaced_line = self.surfaced.plot()
        self._core_line = self.core.plot(symbol="o", symbolSize=5)
        self._core_line.sigPointsClicked.connect(self._ask_for_round)
        self.core.setToolTip(self.tr("A click on a point shows the labels that were new in its round"))
        self._version_line = self.versions.plot()
        self._dots = pg.ScatterPlotItem(size=11, hoverable=True, hoverSize=15)
        self._dots.sigClicked.connect(self._choose)
        self.versions.addItem(self._dots)
        self.titles = [label("", "section") for _ in range(3)]
        self.about = label(self.tr("Click a version to see it or to go back to it."), "caption", wraps=True)
        self.back = QPushButton()
        dress(self.back, "rollback")
        self.back.clicked.connect(self._roll_back)
        self.back.setAccessibleName(self.tr("Go back to this version"))
        self.back.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(XS)
        self._plots = (self.surfaced, self.core, self.versions)
        self.empty = [
            label(text, "muted", wraps=True)
            for text in (
                self.tr("Nothing predicted yet: each image that needs you counts here."),
                self.tr("No round yet: your labels become the core, and every round is a point."),
                self.tr("Not judged yet: every few labels one goes to the holdout, which judges each model."),
            )
        ]
        for title, plot, empty in zip(self.titles, self._plots, self.empty, strict=True):
            layout.addWidget(title)
            layout.addWidget(plot, 1)
            layout.addWidget(empty)
            layout.addSpacing(XS)
        layout.addWidget(self.about)
        layout.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addStretch(1)
        follow(self, ProgressPanel._draw)

    def show_curves(self, curves: Curves) -> None:
        """Draw the series anew."""
        self._curves = curves
        if self._chosen is not None:
            self._chosen = next((v for v in curves.versions if v.version == self._chosen.version), None)
            self._offer()
        self._draw()

    def _draw(self) -> None:
        curves, colours = self._curves, theme.colours
        self._surfaced_line.setData(_thinned(curves.streamed), _thinned(curves.surfaced), pen=_pen("warn"))
        rounds = list(range(1, len(curves.core) + 1))
        self._core_line.setData(rounds, list(curves.core), pen=_pen("accent"), symbolBrush=QColor(colours.accent))
        self._core_line.opts["symbolPen"] = None
        self.core.setYRange(0, max([10, *curves.core]) * 1.1)
        judged = [version for version in curves.versions if version.holdout_iou is not None]
        published = [version for version in judged if version.status is not VersionStatus.REJECTED]
        self._version_line.setData([v.version for v in published], [v.holdout_iou for v in published], pen=_pen("good"))
        self._dots.setData([_spot(version) for version in judged])
        for plot, count in ((self.core, len(rounds)), (self.versions, len(curves.versions))):
            plot.setXRange(0.5, max(count, 4) + 0.5, padding=0)
            plot.getPlotItem().getAxis("bottom").setTickSpacing(max(1, count // 5), 1)
        for plot, empty, known in zip(
            self._plots, self.empty, (len(curves.surfaced) > 0, len(rounds) > 0, len(judged) > 0), strict=True
        ):
            plot.setVisible(known)
            empty.setVisible(not known)
        self.about.setVisible(bool(judged))
        share = f"  {curves.surfaced[-1]:.0%}" if len(curves.surfaced) else ""
        core = f"  {curves.core[-1]:,.0f}" if len(curves.core) else ""
        champion = next((v for v in judged if v.status is VersionStatus.CHAMPION), None)
        iou = f"  {champion.holdout_iou:.3f}" if champion and champion.holdout_iou is not None else ""
        names = (self.tr("Needed a person"), self.tr("Core"), self.tr("IoU on the holdout"))
        for title, name, value in zip(self.titles, names, (share, core, iou), strict=True):
            title.setText(name + value)

    def _ask_for_round(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            self.round_requested.emit(round(points[0].pos().x()))

    def _choose(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            self.choose(points[0].data())

    def choose(self, version: int) -> None:
        """Tell about a version and offer to go back to it."""
        self._chosen = next((v for v in self._curves.versions if v.version == version), None)
        self._offer()

    def _offer(self) -> None:
        version = self._chosen
        self.back.setVisible(version is not None and version.status is not VersionStatus.CHAMPION)
        if version is None:
            self.about.setText(self.tr("Click a version to see it or to go back to it."))
            return
        status = {
            VersionStatus.CHAMPION: self.tr("in use"),
            VersionStatus.RETIRED: self.tr("was in use"),
            VersionStatus.REJECTED: self.tr("not published: no better on the holdout"),
        }[version.status]
        judged = "–" if version.holdout_iou is None else f"{version.holdout_iou:.3f}"
        self.about.setText(
            self.tr("Model v{}: {}. IoU {} on {} holdout labels, trained on {}.").format(
                version.version, status, judged, version.holdout_count, version.core_count
            )
        )
        text = self.tr("Go back to v{}").format(version.version)
        self.back.setText(text)
        self.back.setAccessibleName(text)

    def _roll_back(self) -> None:
        if self._chosen is not None:
            self.rollback_requested.emit(self._chosen.version)


def _spot(version: VersionRecord) -> dict[str, object]:
    colours = theme.colours
    role = {VersionStatus.CHAMPION: colours.good, VersionStatus.RETIRED: colours.muted}.get(version.status, colours.bad)
    hollow = version.status is VersionStatus.REJECTED
    return {
        "pos": (version.version, version.holdout_iou),
        "data": version.version,
        "brush": QColor(colours.window) if hollow else QColor(role),
        "pen": pg.mkPen(role, width=2),
        "symbol": "x" if hollow else "o",
    }
