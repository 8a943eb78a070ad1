"""The tools that are no plain brush, on a real canvas: what a press does to mask and screen."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hands import CTRL, RIGHT, SHIFT, SIDE, at, click, drag, drawn, mouse, on_screen
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from labeler.editing import MaskEditor, Patch
from labeler.journal import Journal
from labeler.metrics import iou
from labeler.records import Mask
from labeler.ui.canvas import Canvas
from labeler.ui.layers import doubt
from labeler.ui.tools import Tool

NEW = (Tool.SMART_BRUSH, Tool.SCRIBBLE, Tool.LASSO, Tool.BUCKET, Tool.WAND, Tool.BOX, Tool.RESTORE)


def truth() -> Mask:
    """A disc of radius 15 at (40, 40) and one of radius 10 at (75, 70)."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (40, 40), 15, 1, -1)
    cv2.circle(mask, (75, 70), 10, 1, -1)
    return mask


def picture() -> NDArray[np.uint8]:
    """The discs bright on dark ground, softly."""
    noise = np.random.default_rng(0).normal(0, 3, (SIDE, SIDE))
    return np.clip(cv2.GaussianBlur(60.0 + 110 * truth(), (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def editor() -> MaskEditor:
    return MaskEditor(np.zeros((SIDE, SIDE), np.uint8))


@pytest.fixture
def canvas(qtbot: QtBot, editor: MaskEditor) -> Iterator[Canvas]:
    """The picture at 400 %: widget pixel 4 x + 12 shows image pixel x. Only the larger disc was predicted."""
    widget = Canvas()
    qtbot.addWidget(widget)
    widget.resize(424, 424)
    predicted = truth()
    predicted[:, 60:] = 0
    probability = cv2.GaussianBlur(predicted * 240, (0, 0), 1.0)
    widget.show_image(picture(), editor, predicted, probability=probability)
    with qtbot.waitExposed(widget):
        widget.show()
    assert widget.zoom == 4
    yield widget
    widget.finish_stroke()


def circle(x: float, y: float, radius: float, count: int = 24) -> list[tuple[float, float]]:
    turns = np.linspace(0, 2 * np.pi, count)
    return [(x + radius * float(np.cos(turn)), y + radius * float(np.sin(turn))) for turn in turns]


def test_lasso_fills_what_it_encircles_though_it_crosses_itself(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.LASSO
    drag(canvas, *circle(50, 50, 20), (72, 55), (68, 62))
    assert editor.mask.sum() == pytest.approx(np.pi * 400, rel=0.06)
    assert editor.mask[50, 50]


def test_lasso_with_control_clears(canvas: Canvas, editor: MaskEditor) -> None:
    editor.invert(value=2)
    canvas.tool = Tool.LASSO
    drag(canvas, *circle(50, 50, 20), modifiers=CTRL)
    assert not editor.mask[50, 50]
    assert editor.mask[10, 10] == 2


def test_bucket_fills_a_hole_changes_a_class_and_clears_a_part(canvas: Canvas, editor: MaskEditor) -> None:
    ring = truth()
    ring[36:45, 36:45] = 0
    editor.replace(ring, "test")
    canvas.tool = Tool.BUCKET
    canvas.class_value = 2
    click(canvas, 40, 40)
    assert (editor.mask[36:45, 36:45] == 2).all()
    click(canvas, 75, 70)
    assert editor.mask[70, 75] == 2
    assert editor.mask[40, 27] == 1
    drag(canvas, (75, 70), button=RIGHT)
    assert not editor.mask[60:80, 66:86].any()


def test_wand_previews_while_dragging_and_is_one_edit(canvas: Canvas, editor: MaskEditor, qtbot: QtBot) -> None:
    canvas.tool = Tool.WAND
    finished: list[Patch] = []
    canvas.stroke_finished.connect(finished.append)
    mouse(canvas, QEvent.Type.MouseButtonPress, at(40, 40))
    QCoreApplication.processEvents()
    few = int(editor.mask.sum())
    assert 300 < few < 800
    for step in range(1, 8):
        mouse(canvas, QEvent.Type.MouseMove, at(40 + 12 * step, 40), button=Qt.MouseButton.NoButton)
        QCoreApplication.processEvents()
    assert int(editor.mask.sum()) > few
    mouse(canvas, QEvent.Type.MouseMove, at(44, 40), button=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    assert int(editor.mask.sum()) < 900
    mouse(canvas, QEvent.Type.MouseButtonRelease, at(44, 40), held=Qt.MouseButton.NoButton)
    assert [patch.name for patch in finished] == ["wand"]
    editor.undo()
    assert not editor.mask.any()


def test_escape_takes_the_wand_back(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.WAND
    mouse(canvas, QEvent.Type.MouseButtonPress, at(40, 40))
    QCoreApplication.processEvents()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    mouse(canvas, QEvent.Type.MouseButtonRelease, at(40, 40), held=Qt.MouseButton.NoButton)
    assert not editor.mask.any()
    assert not editor.can_undo


def test_box_finds_the_object_in_it_and_paints_its_class(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.BOX
    canvas.class_value = 3
    drag(canvas, (58, 54), (75, 75), (92, 88))
    disc = truth()[50:, 60:]
    assert (editor.mask[50:, 60:] == disc * 3).mean() > 0.97
    assert not editor.mask[:50].any()


def test_scribble_brings_the_missed_disc_and_control_takes_one_away(canvas: Canvas, editor: MaskEditor) -> None:
    expected = truth()
    editor.replace(canvas._predicted, "test")  # type: ignore[arg-type]
    canvas.tool = Tool.SCRIBBLE
    drag(canvas, (71, 69), (75, 70), (79, 71))
    assert (editor.mask == expected).mean() > 0.98
    drag(canvas, (31, 40), (40, 41), (49, 40), modifiers=CTRL)
    assert editor.mask[28:52, 28:52].mean() < 0.3
    assert editor.undo() is not None
    assert editor.mask[40, 40]
    assert editor.undo() is not None
    assert not editor.mask[70, 75]


def test_scribble_with_shift_mends_the_same_error_around(canvas: Canvas, editor: MaskEditor) -> None:
    loose = cv2.dilate(truth(), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    editor.replace(loose, "test")
    canvas.show_predicted(loose, cv2.GaussianBlur(loose * 240, (0, 0), 1.0))
    canvas.tool = Tool.SCRIBBLE
    rim = [(x, 40 - (16.5**2 - (x - 40) ** 2) ** 0.5) for x in range(28, 53, 3)]
    drag(canvas, *rim, modifiers=CTRL)
    np.testing.assert_array_equal(editor.mask[62:, 62:], loose[62:, 62:])
    assert editor.undo() is not None
    drag(canvas, *rim, modifiers=CTRL | SHIFT)
    small = np.s_[58:, 62:]
    assert iou(editor.mask[small], truth()[small]) > iou(loose[small], truth()[small]) + 0.05
    assert editor.undo() is not None
    np.testing.assert_array_equal(editor.mask, loose)


def test_smart_brush_does_not_leave_the_object(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.SMART_BRUSH
    canvas.brush_diameter = 16
    drag(canvas, *circle(40, 40, 9))
    outside = cv2.dilate(truth(), np.ones((3, 3), np.uint8)) == 0
    assert editor.mask.sum() > 500
    assert not editor.mask[outside].any()


def test_restore_brush_brings_the_prediction_back_under_it(canvas: Canvas, editor: MaskEditor) -> None:
    editor.invert(value=1)
    canvas.tool = Tool.RESTORE
    canvas.brush_diameter = 20
    drag(canvas, (40, 40), (60, 40))
    assert editor.mask[40, 40]
    assert not editor.mask[40, 60]
    assert editor.mask[90, 90]


@pytest.mark.parametrize("tool", NEW)
def test_partial_repaints_leave_what_a_full_one_would(canvas: Canvas, editor: MaskEditor, tool: Tool) -> None:
    canvas.tool = tool
    mouse(canvas, QEvent.Type.MouseButtonPress, at(30, 30))
    for point in ((45, 33), (70, 50), (40, 60), (34, 36)):
        mouse(canvas, QEvent.Type.MouseMove, at(*point), button=Qt.MouseButton.NoButton)
        QCoreApplication.processEvents()
        np.testing.assert_allclose(on_screen(canvas).astype(int), drawn(canvas), atol=2)
    mouse(canvas, QEvent.Type.MouseButtonRelease, at(34, 36), held=Qt.MouseButton.NoButton)
    np.testing.assert_allclose(on_screen(canvas).astype(int), drawn(canvas), atol=2)


@pytest.mark.parametrize("tool", NEW)
def test_every_tool_makes_at_most_one_edit_a_press_and_a_journal_replays_it(
    canvas: Canvas, editor: MaskEditor, tool: Tool, tmp_path: object
) -> None:
    editor.replace(truth() * np.uint8(2), "test")
    editor.rebase(editor.mask.copy())
    path = tmp_path / "1.journal"  # type: ignore[operator]
    journal = Journal.start(path, editor.base)
    canvas.stroke_finished.connect(journal.append)
    canvas.tool = tool
    drag(canvas, (30, 30), (45, 33), (52, 52), (30, 50))
    drag(canvas, (70, 66), (80, 66), (80, 75), button=RIGHT)
    journal.close()
    replayed = Journal.replay(path)
    assert replayed is not None
    assert len(replayed.entries) <= 2
    fresh = MaskEditor(replayed.base)
    fresh.restore(replayed.entries)
    np.testing.assert_array_equal(fresh.mask, editor.mask)
    while fresh.undo() is not None:
        assert editor.undo() is not None
    np.testing.assert_array_equal(fresh.mask, editor.base)
    np.testing.assert_array_equal(editor.mask, editor.base)
    while fresh.redo() is not None:
        assert editor.redo() is not None
    np.testing.assert_array_equal(fresh.mask, editor.mask)


@pytest.mark.parametrize("tool", NEW)
def test_image_switched_in_the_middle_of_a_gesture_leaves_the_next_one_alone(
    canvas: Canvas, editor: MaskEditor, tool: Tool
) -> None:
    canvas.tool = tool
    mouse(canvas, QEvent.Type.MouseButtonPress, at(30, 30))
    mouse(canvas, QEvent.Type.MouseMove, at(60, 60), button=Qt.MouseButton.NoButton)
    other = MaskEditor(np.zeros((50, 60), np.uint8))
    canvas.show_image(np.zeros((50, 60), np.uint8), other, None)
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    assert not other.mask.any()
    assert not editor.in_stroke


@pytest.mark.parametrize("tool", NEW)
def test_tools_work_without_a_prediction_on_colour_and_outside_the_image(
    canvas: Canvas, editor: MaskEditor, tool: Tool
) -> None:
    canvas.show_image(np.dstack([picture()] * 3), editor, None)
    canvas.tool = tool
    drag(canvas, (70, 66), (80, 74))
    drag(canvas, (-2, -2), (-1, -2))
    assert not editor.in_stroke


def test_next_part_walks_through_the_mask_and_around(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.show_next_part()
    assert canvas.zoom == 4
    editor.replace(truth(), "test")
    seen = []
    for _ in range(3):
        canvas.show_next_part()
        seen.append(canvas.view.to_image(canvas.rect().toRectF().center()))
    assert seen[0] == pytest.approx((40.5, 40.5), abs=1)
    assert seen[1] == pytest.approx((75.5, 70.5), abs=1)
    assert seen[2] == pytest.approx(seen[0], abs=1)


def test_map_of_doubt_is_seen_only_when_wished_and_where_the_model_is_torn(canvas: Canvas) -> None:
    canvas.leaveEvent(QEvent(QEvent.Type.Leave))
    plain = drawn(canvas)
    canvas.show_heat(doubt(np.where(truth() > 0, 128, 255).astype(np.uint8)))
    np.testing.assert_array_equal(drawn(canvas), plain)
    canvas.heat_shown = True
    shown = drawn(canvas).astype(int) - plain
    where = at(40, 40), at(5, 90)
    assert np.abs(shown[where[0].y(), where[0].x()]).sum() > 60
    assert not shown[where[1].y(), where[1].x()].any()
    canvas.show_heat(None)
    np.testing.assert_array_equal(drawn(canvas), plain)
