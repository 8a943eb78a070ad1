"""Review: every mask an image has had, compared, taken in hand again, and reported about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sessions import SIDE, FakeEngine, label, paint, square, train, until

from labeler.files import prediction_paths
from labeler.records import ImageState, VersionStatus
from labeler.review import Kind, judged, mask_of, versions_of
from labeler.ui.report import ReportPage
from labeler.ui.session import Session
from labeler.ui.tiles import BLUE, Tile, painted
from labeler.ui.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none


def test_every_mask_of_an_image_can_be_read(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    project = train(session, qtbot, tmp_path)
    image_id = session.current
    label(session, qtbot, 1)

    versions = versions_of(project, image_id)

    assert [version.kind for version in versions] == [Kind.REVISION, Kind.PREDICTION]
    assert versions[0].is_current
    assert np.array_equal(mask_of(project, image_id, versions[1]), square())
    assert np.array_equal(mask_of(project, image_id, versions[0]), project.label_mask(image_id))


def test_labelled_image_is_opened_again_changed_and_an_old_mask_taken_back(
    session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    project = train(session, qtbot, tmp_path)
    image_id = session.current
    label(session, qtbot, 1)
    first = project.label_mask(image_id).copy()
    session.show_image(image_id)
    until(qtbot, lambda: session.editor is not None)
    session.invert()
    session.commit()
    assert np.array_equal(project.label_mask(image_id), 1 - first)

    session.show_image(image_id)
    until(qtbot, lambda: session.editor is not None)
    old = next(v for v in session.versions() if v.kind is Kind.REVISION and v.number == 1)
    session.take(old)
    assert session.editor is not None
    assert np.array_equal(session.editor.mask, first)
    session.undo()
    assert np.array_equal(session.editor.mask, 1 - first)
    session.redo()
    session.commit()

    assert [version.number for version in versions_of(project, image_id) if version.kind is Kind.REVISION] == [3, 2, 1]
    assert np.array_equal(project.label_mask(image_id), first)
    assert project.image(image_id).state is ImageState.LABELLED


def test_comparison_shows_two_masks_and_moves_both(
    window: MainWindow, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    train(session, qtbot, tmp_path)
    session.fill_holes()
    session.invert()
    window.actions_by_name["side_by_side"].trigger()
    page = window.workspace
    assert page is not None
    compare = page.stage.compare
    assert compare is not None
    assert compare.left.isVisible()
    assert compare.right.isVisible()
    assert [compare.choices[0].currentText(), compare.choices[1].currentText()] == ["Mask in hand", "Prediction of v1"]
    assert compare.agreement.text() == "IoU 0.000"

    compare.left.zoom_in()
    assert compare.right.view == compare.left.view

    window.actions_by_name["swipe"].trigger()
    assert compare.swipe.isVisible()
    assert not compare.left.isVisible()
    QTest.keyClick(compare.swipe, Qt.Key.Key_Escape)
    assert page.stage.currentWidget() is page.canvas


def test_line_is_swiped_by_mouse_and_arrow_keys(
    window: MainWindow, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    train(session, qtbot, tmp_path)
    window.actions_by_name["swipe"].trigger()
    assert window.workspace is not None
    compare = window.workspace.stage.compare
    assert compare is not None
    pane = compare.swipe
    x, y = pane.width() // 2, pane.height() // 2

    QTest.mousePress(pane, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
    QTest.mouseMove(pane, QPoint(x // 2, y))
    QTest.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=QPoint(x // 2, y))
    assert pane.share == pytest.approx(0.25, abs=0.02)
    QTest.keyClick(pane, Qt.Key.Key_Right)
    assert pane.share == pytest.approx(0.27, abs=0.02)


def test_report_has_a_tile_for_every_label_that_was_predicted(
    window: MainWindow, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    project = train(session, qtbot, tmp_path)
    shown = session.current
    label(session, qtbot, 2)

    window.actions_by_name["report"].trigger()
    assert window.workspace is not None
    report = window.workspace.stage.report
    assert report is not None
    assert [item.image_id for item in report.model.items] == [item.image_id for item in judged(project)]
    assert len(report.model.items) == 2
    with qtbot.waitSignal(session.tile_ready, timeout=10_000) as drawn:
        report.view.viewport().update()
    assert drawn.args[0].pixels.shape == (SIDE, SIDE, 3)

    row = next(row for row, item in enumerate(report.model.items) if item.image_id == shown)
    report.view.clicked.emit(report.model.index(row))
    until(qtbot, lambda: session.current == shown and session.editor is not None)
    assert window.workspace.stage.currentWidget() is window.workspace.canvas


def test_tile_is_blue_where_predicted_and_red_where_wrong() -> None:
    predicted, labelled = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    predicted[2:12, 2:12] = labelled[6:16, 2:12] = 1

    drawn = painted(np.full((20, 20, 3), 128, np.uint8), predicted, labelled).astype(int)

    assert tuple(drawn[2, 5]) == BLUE  # the outline
    assert drawn[9, 6, 2] > drawn[9, 6, 0]  # right: bluish
    assert drawn[14, 6, 0] > drawn[14, 6, 2]  # missed: reddish
    assert tuple(drawn[18, 18]) == (128, 128, 128)


@pytest.mark.parametrize(
    ("predicted", "labelled", "said"),
    [
        ({1}, {1}, [("✓ cell", True)]),
        ({1, 2}, {1, 3}, [("✓ cell", True), ("✗ dirt", False), ("✗ hair missed", False)]),
        ({2}, set(), [("✗ dirt", False)]),
        (set(), {1}, [("✗ cell missed", False)]),
        (set(), set(), [("✓ nothing", True)]),
        (None, {1}, [("prediction not kept", False)]),
    ],
)
def test_each_class_of_a_tile_is_right_or_wrong(
    predicted: set[int] | None, labelled: set[int], said: list[tuple[str, bool]], qtbot: QtBot
) -> None:
    page = ReportPage(lambda item: None)
    qtbot.addWidget(page)
    page.show_judged([], ("cell", "dirt", "hair"))
    found = None if predicted is None else frozenset(predicted)
    tile = Tile(1, np.zeros((4, 4, 3), np.uint8), found, frozenset(labelled))

    assert page.model.verdicts(tile) == said


def test_tile_knows_the_classes_of_both_masks(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    project = train(session, qtbot, tmp_path, classes=("cell", "dirt"))
    image_id = session.current
    paint(session, value=2)
    session.commit()
    item = next(item for item in judged(project) if item.image_id == image_id)

    with qtbot.waitSignal(session.tile_ready) as drawn:
        session.request_tile(item)

    assert drawn.args is not None
    assert (drawn.args[0].predicted, drawn.args[0].labelled) == (frozenset({1}), frozenset({1, 2}))

    prediction_paths(project.predictions_folder, image_id, item.model_version or 0)[0].unlink()
    with qtbot.waitSignal(session.tile_ready) as drawn:
        session.request_tile(item)
    assert drawn.args is not None
    assert (drawn.args[0].predicted, drawn.args[0].labelled) == (None, frozenset({1, 2})), "the image is shown"
    assert drawn.args[0].pixels.any()


def test_what_the_last_round_changed_is_listed(
    window: MainWindow, session: Session, engine: FakeEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    project = train(session, qtbot, tmp_path)
    assert session.changed_by_round() == frozenset()
    before = {record.image_id: record.state for record in project.images()}
    engine.shift = 5
    label(session, qtbot, 2)
    until(qtbot, lambda: len(project.versions()) == 2 and project.versions()[1].status is VersionStatus.CHAMPION)
    until(qtbot, lambda: project.count_to_predict() == 0)
    until(qtbot, lambda: len(session.changed_by_round()) > 0)

    moved = {r.image_id for r in project.images() if r.state is not before[r.image_id] and r.origin is None}
    assert moved
    assert moved <= session.changed_by_round()
    window.actions_by_name["changed"].trigger()
    assert window.workspace is not None
    rows = window.workspace.gallery.gallery.model.rowCount()
    assert rows == len(session.changed_by_round())
