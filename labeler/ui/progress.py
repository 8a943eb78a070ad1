"""The Progress panel: how much of the stream needed a person, core, models, and the time it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from labeler.records import VersionRecord, VersionStatus
from labeler.ui.controls import label
from labeler.ui.plots import Curves, Plot, pen, thinned
from labeler.ui.theme import XS, M, dress, follow, theme
from labeler.ui.wording import time_spent


class ProgressPanel(QWidget):
    """How the work goes: share surfaced, core size, holdout IoU of every version, time spent; points can be clicked."""

    image_requested = Signal(int)
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
        self.times = Plot(self.tr("Seconds spent on each label"), bottom=self.tr("label"))
        self.surfaced.scene().sigMouseClicked.connect(self._ask_for_seen)
        self.surfaced.setToolTip(self.tr("A click shows the image that was seen then"))
        self.times.setToolTip(self.tr("A click on a point shows its image"))
        self._surfaced_line = self.surfaced.plot()
        self._core_line = self.core.plot(symbol="o", symbolSize=5)
        self._core_line.sigPointsClicked.connect(self._ask_for_round)
        self.core.setToolTip(self.tr("A click on a point shows the labels that were new in its round"))
        self._version_line = self.versions.plot()
        self._dots = pg.ScatterPlotItem(size=11, hoverable=True, hoverSize=15)
        self._dots.sigClicked.connect(self._choose)
        self.versions.addItem(self._dots)
        self._time_dots = pg.ScatterPlotItem(size=7, hoverable=True, hoverSize=11, pen=None)
        self._time_dots.sigClicked.connect(self._ask_for_label)
        self.times.addItem(self._time_dots)
        self.titles = [label("", "section", wraps=True) for _ in range(4)]
        self.about = label(self.tr("Click a version to see it or to go back to it."), "caption", wraps=True)
        self.back = QPushButton()
        dress(self.back, "rollback")
        self.back.clicked.connect(self._roll_back)
        self.back.setAccessibleName(self.tr("Go back to this version"))
        self.back.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(XS)
        self._plots = (self.surfaced, self.core, self.versions, self.times)
        self.empty = [
            label(text, "muted", wraps=True)
            for text in (
                self.tr("Nothing predicted yet: each image that needs you counts here."),
                self.tr("No round yet: your labels become the core, and every round is a point."),
                self.tr("Not judged yet: every few labels one goes to the holdout, which judges each model."),
                self.tr("No label yet: the seconds that each one takes you are a point."),
            )
        ]
        for title, plot, empty in zip(self.titles, self._plots, self.empty, strict=True):
            layout.addWidget(title)
            layout.addWidget(plot, 1)
            layout.addWidget(empty)
            if plot is self.versions:
                layout.addWidget(self.about)
                layout.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
            layout.addSpacing(XS)
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
        self._surfaced_line.setData(thinned(curves.streamed), thinned(curves.surfaced), pen=pen("warn"))
        rounds = list(range(1, len(curves.core) + 1))
        self._core_line.setData(rounds, list(curves.core), pen=pen("accent"), symbolBrush=QColor(colours.accent))
        self._core_line.opts["symbolPen"] = None
        self.core.setYRange(0, max([10, *curves.core]) * 1.1)
        judged = [version for version in curves.versions if version.holdout_iou is not None]
        published = [version for version in judged if version.status is not VersionStatus.REJECTED]
        self._version_line.setData([v.version for v in published], [v.holdout_iou for v in published], pen=pen("good"))
        self._dots.setData([_spot(version) for version in judged])
        for plot, count in ((self.core, len(rounds)), (self.versions, len(curves.versions))):
            plot.setXRange(0.5, max(count, 4) + 0.5, padding=0)
            plot.getPlotItem().getAxis("bottom").setTickSpacing(max(1, count // 5), 1)
        times = curves.times
        self._time_dots.setData(
            [{"pos": (at, spent), "data": image_id} for at, (image_id, spent) in enumerate(times, 1)],
            brush=QColor(colours.accent),
        )
        self.times.setYRange(0, max([10.0, *(spent for _, spent in times)]) * 1.1)
        for plot, empty, known in zip(
            self._plots,
            self.empty,
            (len(curves.surfaced) > 0, len(rounds) > 0, len(judged) > 0, len(times) > 0),
            strict=True,
        ):
            plot.setVisible(known)
            empty.setVisible(not known)
        self.about.setVisible(bool(judged))
        self._name(judged)

    def _name(self, judged: Sequence[VersionRecord]) -> None:
        """The figures in the titles."""
        curves = self._curves
        share = f"  {curves.surfaced[-1]:.0%}" if len(curves.surfaced) else ""
        core = f"  {curves.core[-1]:,.0f}" if len(curves.core) else ""
        champion = next((v for v in judged if v.status is VersionStatus.CHAMPION), None)
        iou = f"  {champion.holdout_iou:.3f}" if champion and champion.holdout_iou is not None else ""
        spent = time_spent(sum(seconds for _, seconds in curves.times), len(curves.times))
        values = (share, core, iou, f"  {spent}" if curves.times else "")
        names = (self.tr("Needed a person"), self.tr("Core"), self.tr("IoU on the holdout"), self.tr("Your time"))
        for title, name, value in zip(self.titles, names, values, strict=True):
            title.setText(name + value)

    def _ask_for_seen(self, event: Any) -> None:
        place = round(self.surfaced.getPlotItem().vb.mapSceneToView(event.scenePos()).x()) - 1
        if 0 <= place < len(self._curves.seen):
            self.image_requested.emit(int(self._curves.seen[place]))

    def _ask_for_label(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            self.image_requested.emit(int(points[0].data()))

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
