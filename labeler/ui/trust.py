"""The Trust panel: what confidences have meant, what accepting on them risks, the certificate and the drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from labeler.calibration import FEWEST
from labeler.drift import FALSE_ALARM
from labeler.evidence import Evidence, risk_coverage
from labeler.trust import reliability
from labeler.ui.controls import label
from labeler.ui.plots import Plot
from labeler.ui.theme import XS, M, dress, follow, theme
from labeler.ui.wording import percent

_ALARM = -math.log(FALSE_ALARM) / math.log(10)


class TrustPanel(QWidget):
    """Draws ``Evidence``; a mark that is clicked opens its image."""

    image_requested = Signal(int)
    images_requested = Signal(frozenset, str)  # ids, and what they have in common
    audit_requested = Signal()
    go_on_requested = Signal()
    threshold_requested = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._evidence = Evidence()
        self._below = 0.0
        self.certificate = label("", "strong", wraps=True)
        self.calibration = label("", "caption", wraps=True)
        self.audit = self._button(self.tr("Audit accepted masks"), "check", self.audit_requested)
        self.go_on = self._button(self.tr("I have seen it: go on"), "play", self.go_on_requested)
        self.propose = QPushButton()
        self.propose.setAccessibleName(self.tr("Accept from the certified threshold on"))
        self.propose.clicked.connect(self._propose)
        self.alarm = label(
            self.tr("The stream has changed: the gate is at its strictest and four times as many masks are audited."),
            "strong",
            wraps=True,
        )
        self.reliability = Plot(self.tr("IoU against confidence on the holdout"), bottom=self.tr("confidence"))
        self.risk = Plot(self.tr("Share of wrong masks against share accepted"), bottom=self.tr("share accepted"))
        self.history = Plot(self.tr("Wrong masks left at most, over the audits"), bottom=self.tr("audits answered"))
        self.drift = Plot(self.tr("Evidence that the stream has changed"), bottom=self.tr("images seen"))
        self._build_marks()
        self.titles = [label("", "section", wraps=True) for _ in range(4)]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(XS)
        for widget in (self.certificate, self.audit, self.calibration, self.propose, self.alarm, self.go_on):
            layout.addWidget(widget, 0, *([Qt.AlignmentFlag.AlignLeft] if isinstance(widget, QPushButton) else []))
        for title, plot in zip(self.titles, (self.reliability, self.risk, self.history, self.drift), strict=True):
            layout.addSpacing(XS)
            layout.addWidget(title)
            layout.addWidget(plot, 1)
        follow(self, TrustPanel._draw)

    def _button(self, text: str, icon: str, signal: Any) -> QPushButton:
        made = QPushButton(f" {text}")
        made.setAccessibleName(text)
        dress(made, icon)
        made.clicked.connect(lambda: signal.emit())
        return made

    def _build_marks(self) -> None:
        self._diagonal = self.reliability.plot([0, 1], [0, 1])
        self._pairs = pg.ScatterPlotItem(size=6, hoverable=True, hoverSize=10)
        self._bins, self._spread = pg.ScatterPlotItem(size=9, hoverable=True, hoverSize=13), pg.ErrorBarItem()
        self._bins.sigClicked.connect(self._open_bin)
        self._sights, self._risks, self._bounds = (
            pg.ScatterPlotItem(size=5, hoverable=True, hoverSize=9) for _ in range(3)
        )
        for marks in (self._pairs, self._sights, self._risks, self._bounds):
            marks.sigClicked.connect(self._open)
        for item in (self._pairs, self._spread, self._bins):
            self.reliability.addItem(item)
        self._risk_line, self._bound_line = self.risk.plot(), self.history.plot()
        self.risk.addItem(self._risks)
        self.history.addItem(self._bounds)
        self._alarm_line = pg.InfiniteLine(pos=_ALARM, angle=0)
        self._drift_line = self.drift.plot()
        self.drift.addItem(self._alarm_line)
        self.drift.addItem(self._sights)
        self.reliability.setXRange(0, 1, padding=0.02)
        self.reliability.setYRange(0, 1, padding=0.04)
        self.risk.setXRange(0, 1, padding=0.02)

    def show_evidence(self, evidence: Evidence, *, below: float) -> None:
        """Draw the series anew; ``below`` is the IoU from which a mask is right."""
        self._evidence, self._below = evidence, below
        self._draw()

    def show_certificate(self, sentence: str, *, waiting: int, alarmed: bool) -> None:
        """What the status strip says too."""
        self.certificate.setText(sentence or self.tr("No mask was accepted without a look yet."))
        self.audit.setEnabled(waiting > 0)
        self.alarm.setVisible(alarmed)
        self.go_on.setVisible(alarmed)

    def _draw(self) -> None:
        evidence, colours = self._evidence, theme.colours
        self._draw_pairs(evidence.pairs)
        risks = risk_coverage(evidence.pairs, below=self._below)
        self._draw_curve(self._risk_line, self._risks, risks, colours.warn)
        self.risk.setYRange(0, max([0.05, *(risk for _, risk, _ in risks)]) * 1.1)
        self._draw_curve(self._bound_line, self._bounds, evidence.history, colours.accent)
        self.history.setYRange(0, max([10, *(left for _, left, _ in evidence.history)]) * 1.1)
        self._draw_drift(evidence.drift)
        self._tell()

    def _draw_pairs(self, pairs: Sequence[tuple[int, float, float]]) -> None:
        colours = theme.colours
        self._diagonal.setPen(pg.mkPen(colours.border, width=1, style=Qt.PenStyle.DashLine))
        self._pairs.setData(
            [
                {
                    "pos": (confidence, iou),
                    "data": image_id,
                    "brush": QColor(colours.good if iou >= self._below else colours.bad),
                    "pen": pg.mkPen(None),
                    "symbol": "o" if iou >= self._below else "x",
                }
                for image_id, confidence, iou in pairs
            ]
        )
        bins = reliability([pair[1] for pair in pairs], [pair[2] for pair in pairs]) if len(pairs) >= 8 else []
        x, y, half = np.array([(found.confidence, found.iou, found.half) for found in bins], float).reshape(-1, 3).T
        self._spread.setData(x=x, y=y, height=2 * half, beam=0.015, pen=pg.mkPen(colours.text, width=1))
        members = [frozenset(pairs[at][0] for at in found.members) for found in bins]
        self._bins.setData(x=x, y=y, data=members, brush=QColor(colours.text), pen=pg.mkPen(None), symbol="d")

    def _draw_curve(
        self, line: pg.PlotDataItem, marks: pg.ScatterPlotItem, points: Sequence[tuple[float, float, int]], colour: str
    ) -> None:
        """A curve whose points open their images."""
        line.setData([x for x, _, _ in points], [y for _, y, _ in points], pen=pg.mkPen(colour, width=2))
        brush, pen = QColor(colour), pg.mkPen(None)
        marks.setData([{"pos": (x, y), "data": image_id, "brush": brush, "pen": pen} for x, y, image_id in points])

    def _draw_drift(self, drift: Sequence[tuple[int, float]]) -> None:
        step = max(1, len(drift) // 500)
        seen = list(enumerate(drift, 1))[::-step][::-1]
        values = [(number, capital / math.log(10)) for number, (_, capital) in seen]
        colours = theme.colours
        self._drift_line.setData([n for n, _ in values], [v for _, v in values], pen=pg.mkPen(colours.accent, width=2))
        self._sights.setData(
            [
                {"pos": value, "data": image_id, "brush": QColor(colours.accent), "pen": pg.mkPen(None)}
                for value, (_, (image_id, _)) in zip(values, seen, strict=True)
            ]
        )
        self._alarm_line.setPen(pg.mkPen(colours.bad, width=1, style=Qt.PenStyle.DashLine))
        self.drift.setYRange(-1, max([_ALARM + 0.5, *(value for _, value in values)]))

    def _tell(self) -> None:
        evidence = self._evidence
        count = len(evidence.pairs)
        if evidence.is_calibrated:
            said = self.tr("The confidence is calibrated on the holdout.")
        elif count >= FEWEST:
            said = self.tr("Not calibrated yet: the next model will be, there are {} labels to judge it by.").format(
                count
            )
        else:
            said = self.tr("Not calibrated yet: {} of {} labels of the holdout.").format(count, FEWEST)
        self.calibration.setText(said)
        self._tell_titles()
        tau = evidence.certified_threshold
        self.propose.setVisible(tau is not None)
        if tau is not None:
            share = percent(evidence.certified_share)
            text = self.tr("From {:.3f} on, at most {} are wrong (95 %, from the probes)").format(tau, share)
            self.propose.setText(text)

    def _tell_titles(self) -> None:
        """A plot without a point is not drawn; its title says when there will be one."""
        evidence = self._evidence
        last, holdout = evidence.history[-1][1] if evidence.history else 0, self.tr("from the first holdout label on")
        rows = (
            (
                self.reliability,
                self.tr("Confidence against truth"),
                f"  {len(evidence.pairs)}",
                evidence.pairs,
                holdout,
            ),
            (self.risk, self.tr("Wrong among the accepted"), "", evidence.pairs, holdout),
            (
                self.history,
                self.tr("Wrong ones left, at most"),
                f"  {last:,}",
                evidence.history,
                self.tr("from the first audit on"),
            ),
            (
                self.drift,
                self.tr("Has the stream changed? (log 10)"),
                "",
                evidence.drift,
                self.tr("from the first prediction on"),
            ),
        )
        for title, (plot, name, figure, points, when) in zip(self.titles, rows, strict=True):
            title.setText(name + (figure if points else f" · {when}"))
            plot.setVisible(bool(points))

    def _propose(self) -> None:
        if self._evidence.certified_threshold is not None:
            self.threshold_requested.emit(self._evidence.certified_threshold)

    def _open_bin(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            confidence = points[0].pos().x()
            self.images_requested.emit(points[0].data(), self.tr("Holdout, confidence near {:.2f}").format(confidence))

    def _open(self, _item: object, points: Sequence[Any], _event: object = None) -> None:
        if len(points):
            self.image_requested.emit(int(points[0].data()))
