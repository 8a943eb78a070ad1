"""The panels beside the canvas: every point leads to its image, empty ones say why, no word of a tab is cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import version_record
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from labeler.records import Progress, VersionStatus
from labeler.ui.plots import Curves
from labeler.ui.progress import ProgressPanel
from labeler.ui.tabs import FittingTabs
from labeler.ui.theme import theme
from labeler.ui.training import TrainingPanel
from labeler.ui.wording import time_spent

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none

WORDS = (("Image", "project"), ("Progress", "progress"), ("Trust", "trust"), ("Training", "training"))


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    theme.apply("light", 1.0)
    yield
    theme.apply("light", 1.0)


class Click:
    """What pyqtgraph tells of a click: a place in the scene."""

    def __init__(self, place: QPointF) -> None:
        self._place = place

    def scenePos(self) -> QPointF:
        return self._place


class Spot:
    """A point of a scatter plot as pyqtgraph hands it over."""

    def __init__(self, image_id: int) -> None:
        self._image_id = image_id

    def data(self) -> int:
        return self._image_id


def test_a_click_on_the_stream_shows_the_image_that_was_seen_then(qtbot: QtBot) -> None:
    panel = ProgressPanel()
    qtbot.addWidget(panel)
    panel.resize(300, 800)
    panel.show_curves(Curves(streamed=[1, 2, 3, 4], surfaced=[1, 0.5, 0.3, 0.25], seen=[7, 9, 12, 40]))
    panel.show()
    box = panel.surfaced.getPlotItem().vb

    with qtbot.waitSignal(panel.image_requested) as asked:
        panel.surfaced.scene().sigMouseClicked.emit(Click(box.mapViewToScene(QPointF(3.1, 0.5))))

    assert asked.args == [12]


def test_time_spent_is_told_and_each_label_leads_to_its_image(qtbot: QtBot) -> None:
    panel = ProgressPanel()
    qtbot.addWidget(panel)
    panel.show_curves(Curves(times=[(3, 40.0), (8, 20.0)]))

    assert [title.text() for title in panel.titles][3] == "Your time  60 s · 30 s a label"
    assert not panel.times.isHidden()
    with qtbot.waitSignal(panel.image_requested) as asked:
        panel._time_dots.sigClicked.emit(panel._time_dots, [Spot(8)], None)
    assert asked.args == [8]
    assert time_spent(600, 40) == "10 min · 15 s a label"
    assert time_spent(7200, 240) == "2.0 h · 30 s a label"


def test_training_panel_says_what_will_be_there_until_a_round_has_run(qtbot: QtBot) -> None:
    panel = TrainingPanel()
    qtbot.addWidget(panel)
    assert not panel.empty.isHidden()
    assert all(plot.isHidden() for plot in (panel.loss, panel.iou, panel.duel))

    panel.begin()
    panel.advance(Progress("training", 1, 10, {"loss": 0.5}))
    assert panel.empty.isHidden()
    assert not panel.loss.isHidden()
    assert panel.duel.isHidden()

    panel.end("Model v2 is in use")
    panel.show_duels([(4, 0.6, 0.8), (9, 0.9, 0.7)])
    assert not panel.duel.isHidden()
    assert [(point.pos().x(), point.pos().y()) for point in panel._duels.points()] == [(0.6, 0.8), (0.9, 0.7)]
    with qtbot.waitSignal(panel.image_requested) as asked:
        panel._duels.sigClicked.emit(panel._duels, [Spot(9)], None)
    assert asked.args == [9]
    panel.begin()
    assert panel.duel.isHidden(), "of the round before"


def test_click_on_a_curve_of_the_round_asks_for_its_images(qtbot: QtBot) -> None:
    panel = TrainingPanel()
    qtbot.addWidget(panel)
    panel.resize(400, 900)
    panel.show()
    panel.begin()
    for step in range(1, 11):
        panel.advance(Progress("training", step, 10, {"loss": 0.5}))
    QTest.qWait(50)
    place = panel.loss.getViewBox().mapViewToScene(QPointF(5.0, 0.5))
    with qtbot.waitSignal(panel.core_requested, timeout=2000):
        QTest.mouseClick(panel.loss.viewport(), Qt.MouseButton.LeftButton, pos=panel.loss.mapFromScene(place))


def test_versions_can_still_be_chosen(qtbot: QtBot) -> None:
    panel = ProgressPanel()
    qtbot.addWidget(panel)
    panel.show_curves(Curves(versions=[version_record(1, 0.8, VersionStatus.CHAMPION)]))
    panel.choose(1)

    assert "v1" in panel.about.text()


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5])
@pytest.mark.parametrize("width", [180, 225, 700])
def test_no_word_of_a_tab_is_cut_and_each_keeps_its_name(qtbot: QtBot, scale: float, width: int) -> None:
    theme.apply("light", scale)
    tabs = FittingTabs("Panels")
    qtbot.addWidget(tabs)
    for word, drawn in WORDS:
        tabs.add(QLabel(word), word, drawn)
    tabs.resize(theme.px(width), 300)
    tabs.show()

    for chosen in range(len(WORDS)):
        tabs.setCurrentIndex(chosen)
        bar = tabs.tabBar()
        for at, (word, _) in enumerate(WORDS):
            shown = bar.tabText(at)
            assert shown in (word, ""), "whole or not at all"
            assert shown or not bar.tabIcon(at).isNull()
            assert bar.tabRect(at).width() >= QFontMetrics(bar.font()).horizontalAdvance(shown)
            assert (bar.tabToolTip(at), bar.accessibleTabName(at)) == (word, word)
        assert bar.tabRect(len(WORDS) - 1).right() <= tabs.width()
    words = [tabs.tabBar().tabText(at) for at in range(len(WORDS))]
    assert all(words) == (width == 700)
    assert any(words) == (width > 180)


def test_counts_stand_beside_the_word_or_the_icon(qtbot: QtBot) -> None:
    tabs = FittingTabs("Images")
    qtbot.addWidget(tabs)
    tabs.add(QLabel(), "Queue", "clock")
    tabs.add(QLabel(), "All", "folder")
    tabs.resize(400, 300)
    tabs.show()
    tabs.show_count(0, 12)
    tabs.show_count(1, 100_000)
    assert [tabs.tabText(at) for at in (0, 1)] == ["Queue  12", "All  100,000"]

    tabs.resize(165, 300)
    assert [tabs.tabText(at) for at in (0, 1)] == ["12", "100,000"], "the numbers stay"
    assert tabs.tabBar().tabRect(1).right() <= tabs.width()
