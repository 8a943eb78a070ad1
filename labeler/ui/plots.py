"""Plots in the colours of the window, and the series they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt

from labeler.records import VersionRecord
from labeler.ui.theme import follow, theme

_POINTS_DRAWN = 2000  # a curve of more points is thinned before it is drawn


@dataclass(frozen=True, slots=True)
class Curves:
    """The series of the Progress panel; a point per streamed image or per round, oldest first."""

    streamed: Sequence[float] | NDArray[Any] = ()  # number of images seen
    surfaced: Sequence[float] | NDArray[Any] = ()  # share of them that needed a person, 0..1
    seen: Sequence[int] | NDArray[Any] = ()  # image_id of each of them
    core: Sequence[float] = ()  # size of the core after each round
    versions: Sequence[VersionRecord] = ()
    times: Sequence[tuple[int, float]] = ()  # image_id and seconds of work of each label


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


def pen(role: str, *, dashed: bool = False) -> object:
    """A line in a colour of the palette."""
    style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
    return pg.mkPen(getattr(theme.colours, role), width=2, style=style)


def thinned(values: Sequence[float] | NDArray[Any]) -> Sequence[float] | NDArray[Any]:
    """At most some 2,000 points of a curve; the newest is always kept."""
    step = max(1, len(values) // _POINTS_DRAWN)
    return values if step == 1 else [*values[:-1:step], values[-1]]
