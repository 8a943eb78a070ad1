"""The canvas on a real widget: what mouse, pen and keys do to the mask, and what is seen of it."""

from __future__ import annotations

import numpy as np
import pytest
from hands import (
    CTRL,
    LEFT,
    MIDDLE,
    PLAIN,
    RIGHT,
    SHIFT,
    SIDE,
    at,
    click,
    corners,
    drag,
    drawn,
    is_tinted,
    mouse,
    on_screen,
    pen,
    seen_at,
    wheel,
)
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from labeler.editing import MaskEditor, Patch
from labeler.records import Mask
from labeler.ui.canvas import Canvas
from labeler.ui.layers import Tone
from labeler.ui.theme import class_colour
from labeler.ui.tools import Tool, stepped_diameter
from labeler.ui.view import MAX_ZOOM, MIN_ZOOM, View


@pytest.fixture
def editor() -> MaskEditor:
    return MaskEditor(np.zeros((SIDE, SIDE), np.uint8))


@pytest.fixture
def canvas(qtbot: QtBot, editor: MaskEditor) -> Canvas:
    """A grey image of 100x100 at 400 %: widget pixel 4 x + 12 shows image pixel x."""
    widget = Canvas()
    qtbot.addWidget(widget)
    widget.resize(424, 424)
    widget.show_image(np.full((SIDE, SIDE), 128, np.uint8), editor, None)
    with qtbot.waitExposed(widget):
        widget.show()
    widget.brush_diameter = widget.eraser_diameter = 10
    assert widget.zoom == 4
    return widget


# Strokes


def test_stroke_is_interpolated_between_sparse_events(canvas: Canvas, editor: MaskEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(canvas.stroke_finished) as finished:
        drag(canvas, (10, 20), (80, 20))
    assert editor.mask[16:24, 10:80].all()
    assert not editor.mask[:14].any()
    patch = finished.args[0]
    assert isinstance(patch, Patch)
    assert patch.name == "brush"
    assert patch.rect[:2] == (15, 5)


def test_stroke_is_painted_before_the_button_is_let_go(canvas: Canvas, editor: MaskEditor, qtbot: QtBot) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(10, 20))
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton)
    assert not editor.mask.any()  # events only collect points
    qtbot.waitUntil(lambda: bool(editor.mask[20, 50]))
    assert editor.in_stroke
    canvas.finish_stroke()
    assert editor.can_undo


def shrunk(points: list[tuple[float, float]], zoom: float) -> list[tuple[float, float]]:
    """The same places of the image at a zoom below 400 %."""
    share = min(zoom / 4, 1)
    return [(50 + (x - 50) * share, 50 + (y - 50) * share) for x, y in points]


@pytest.mark.parametrize("overlay", ["fill", "contour", "off"])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 1.7, 4.0, 23.0])
def test_partial_repaints_leave_what_a_full_one_would(
    canvas: Canvas, editor: MaskEditor, overlay: str, zoom: float
) -> None:
    canvas.zoom = zoom
    canvas.overlay = overlay
    canvas.brush_diameter = 24 / zoom
    for points in ([(20, 20), (80, 60)], [(50, 20), (30, 80), (60, 90)]):
        drag(canvas, *shrunk(points, zoom))
        QCoreApplication.processEvents()
    drag(canvas, *shrunk([(40, 30), (60, 70)], zoom), button=RIGHT)
    # The cursor goes away first: the repaint of its ring must not cover for the undo's.
    mouse(canvas, QEvent.Type.MouseMove, at(3, 3), button=Qt.MouseButton.NoButton, held=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    patch = editor.undo()
    assert patch is not None
    canvas.refresh(patch.rect)
    np.testing.assert_allclose(on_screen(canvas).astype(int), drawn(canvas), atol=2)


@pytest.mark.parametrize("overlay", ["fill", "contour"])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 1.7, 4.0, 23.0])
@pytest.mark.parametrize("tool", [Tool.BRUSH, Tool.POLYGON_ADD])
def test_pan_moves_what_is_drawn_and_paints_what_comes_into_sight(
    canvas: Canvas, overlay: str, zoom: float, tool: Tool
) -> None:
    rng = np.random.default_rng(2)
    mask = np.kron(rng.integers(0, 4, (10, 10), np.uint8), np.ones((10, 10), np.uint8))
    canvas.show_image(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), MaskEditor(mask), mask[::-1].copy())
    canvas.zoom, canvas.overlay, canvas.tool = zoom, overlay, tool
    if tool is Tool.POLYGON_ADD:
        click(canvas, 45, 45)
        click(canvas, 55, 48)
    mouse(canvas, QEvent.Type.MouseMove, at(50, 52), button=Qt.MouseButton.NoButton, held=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    for number in range(12):
        canvas.pan_by(QPointF(*rng.uniform(-40, 40, 2)))
        if number % 3:  # several pans of one frame, too
            QCoreApplication.processEvents()
        if number == 7:
            canvas.comparing = True  # its badge does not move with the image
        if number == 9:
            canvas.comparing = False
    np.testing.assert_allclose(on_screen(canvas).astype(int), drawn(canvas), atol=2)


def test_ring_leaves_no_trace_after_zooming_and_resizing(canvas: Canvas) -> None:
    for step in range(8):
        mouse(
            canvas,
            QEvent.Type.MouseMove,
            at(10 + 10 * step, 50),
            button=Qt.MouseButton.NoButton,
            held=Qt.MouseButton.NoButton,
        )
        QCoreApplication.processEvents()
        canvas.zoom_by((1.3, 0.8)[step % 2])
        canvas.step_diameter((3, -2)[step % 2])
        QCoreApplication.processEvents()
    np.testing.assert_array_equal(on_screen(canvas), drawn(canvas))


def test_undone_stroke_is_no_longer_seen(canvas: Canvas, editor: MaskEditor) -> None:
    before = seen_at(canvas, 50, 50)
    drag(canvas, (30, 50), (70, 50))
    assert is_tinted(seen_at(canvas, 50, 50))
    patch = editor.undo()
    assert patch is not None
    canvas.refresh(patch.rect)
    canvas.leaveEvent(QEvent(QEvent.Type.Leave))
    assert seen_at(canvas, 50, 50) == before


@pytest.mark.parametrize("how", ["right button", "control", "eraser"])
def test_erasing(canvas: Canvas, editor: MaskEditor, how: str) -> None:
    drag(canvas, (10, 50), (90, 50))
    if how == "eraser":
        canvas.tool = Tool.ERASER
    drag(
        canvas,
        (50, 40),
        (50, 60),
        button=RIGHT if how == "right button" else LEFT,
        modifiers=CTRL if how == "control" else PLAIN,
    )
    assert not editor.mask[50, 50]
    assert editor.mask[50, 30]
    assert editor.mask[50, 70]


def test_brush_paints_the_chosen_class(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.class_value = 3
    click(canvas, 50, 50)
    assert set(np.unique(editor.mask)) == {0, 3}


def test_shift_click_draws_a_straight_segment_from_the_last_stroke(canvas: Canvas, editor: MaskEditor) -> None:
    click(canvas, 10, 10)
    click(canvas, 80, 80, SHIFT)
    assert all(editor.mask[i, i] for i in range(10, 80))
    assert editor.undo() is not None
    assert editor.mask[10, 10]
    assert not editor.mask[50, 50]


def test_first_shift_click_is_a_dot(canvas: Canvas, editor: MaskEditor) -> None:
    click(canvas, 50, 50, SHIFT)
    assert 70 < editor.mask.sum() < 90


def test_escape_takes_the_stroke_in_hand_back(canvas: Canvas, editor: MaskEditor) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(10, 20))
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    assert editor.mask.any()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    mouse(canvas, QEvent.Type.MouseMove, at(90, 20), button=Qt.MouseButton.NoButton)
    mouse(canvas, QEvent.Type.MouseButtonRelease, at(90, 20), held=Qt.MouseButton.NoButton)
    assert not editor.mask.any()
    assert not editor.can_undo
    click(canvas, 50, 50)
    assert editor.mask[50, 50]


def test_stroke_ends_when_the_release_was_lost(canvas: Canvas, editor: MaskEditor) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(10, 20))
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton, held=Qt.MouseButton.NoButton)
    assert not editor.in_stroke
    assert editor.can_undo


def test_image_switched_in_mid_stroke_keeps_the_stroke(canvas: Canvas, editor: MaskEditor, qtbot: QtBot) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(10, 20))
    other = MaskEditor(np.zeros((50, 60), np.uint8))
    with qtbot.waitSignal(canvas.stroke_finished):
        canvas.show_image(np.zeros((50, 60), np.uint8), other, None)
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    assert editor.mask[20, 10]
    assert not other.mask.any()


def test_stroke_that_another_ended_is_left_alone(canvas: Canvas, editor: MaskEditor) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, at(10, 20))
    QCoreApplication.processEvents()
    assert editor.end_stroke() is not None
    after = editor.mask.copy()
    mouse(canvas, QEvent.Type.MouseMove, at(50, 20), button=Qt.MouseButton.NoButton)
    mouse(canvas, QEvent.Type.MouseButtonRelease, at(50, 20), held=Qt.MouseButton.NoButton)
    QCoreApplication.processEvents()
    np.testing.assert_array_equal(editor.mask, after)


def test_strokes_without_an_image_do_nothing(canvas: Canvas) -> None:
    canvas.clear()
    for tool in Tool:
        canvas.tool = tool
        drag(canvas, (10, 10), (50, 50))
        canvas.close_polygon()
    canvas.fit()
    canvas.zoom_in()
    canvas.refresh((0, 0, 5, 5))
    assert not canvas.has_image


# Pen


def test_pen_pressure_sets_the_width_of_the_stroke(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.brush_diameter = 20
    pen(canvas, QEvent.Type.TabletPress, at(20, 50), 0.2)
    pen(canvas, QEvent.Type.TabletMove, at(80, 50), 1.0)
    pen(canvas, QEvent.Type.TabletRelease, at(80, 50), 0.0)
    assert editor.mask[:, 20].sum() < 8
    assert 9 < editor.mask[:, 50].sum() < 16
    assert editor.mask[:, 80].sum() == 20
    assert editor.can_undo


def test_tail_of_the_pen_erases_with_the_erasers_size(canvas: Canvas, editor: MaskEditor) -> None:
    editor.invert()
    canvas.eraser_diameter = 30
    pen(canvas, QEvent.Type.TabletPress, at(50, 50), 1.0, tail=True)
    pen(canvas, QEvent.Type.TabletRelease, at(50, 50), 0.0, tail=True)
    assert (editor.mask == 0).sum(axis=1).max() == 30


# Polygon


def test_polygon_is_filled_on_return(canvas: Canvas, editor: MaskEditor, qtbot: QtBot) -> None:
    canvas.tool = Tool.POLYGON_ADD
    corners(canvas, (10, 10), (60, 10), (60, 40), (10, 40))
    assert not editor.mask.any()
    with qtbot.waitSignals([canvas.stroke_finished, canvas.polygon_changed]):
        QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert editor.mask.sum() == 50 * 30
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert editor.mask.sum() == 50 * 30


def test_polygon_subtract_leaves_a_hole(canvas: Canvas, editor: MaskEditor) -> None:
    editor.invert()
    canvas.tool = Tool.POLYGON_SUBTRACT
    corners(canvas, (20, 20), (40, 20), (40, 40), (20, 40))
    QTest.keyClick(canvas, Qt.Key.Key_Enter)
    assert (editor.mask == 0).sum() == 400
    assert editor.mask[0, 0]


def test_click_near_the_first_corner_closes(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.POLYGON_ADD
    corners(canvas, (10, 10), (60, 10), (60, 40), (11, 11))
    assert editor.can_undo
    assert not editor.mask[35, 12]


def test_double_click_closes(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.POLYGON_ADD
    corners(canvas, (10, 10), (60, 10), (60, 40))
    mouse(canvas, QEvent.Type.MouseButtonDblClick, at(60, 40))
    assert editor.can_undo


def test_fast_clicks_around_a_small_object_do_not_close_it_early(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.tool = Tool.POLYGON_ADD
    for number, point in enumerate(((50, 50), (56, 50), (56, 56), (53, 59), (50, 56))):
        # The system takes every second of two fast clicks for a double click.
        mouse(canvas, QEvent.Type.MouseButtonDblClick if number % 2 else QEvent.Type.MouseButtonPress, at(*point))
        mouse(canvas, QEvent.Type.MouseButtonRelease, at(*point), held=Qt.MouseButton.NoButton)
        assert not editor.can_undo
    mouse(canvas, QEvent.Type.MouseButtonDblClick, at(50, 56))
    assert editor.mask[57, 53]


def test_backspace_and_undo_drop_a_corner_and_escape_all(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.tool = Tool.POLYGON_ADD
    counts: list[int] = []
    canvas.polygon_changed.connect(counts.append)
    corners(canvas, (10, 10), (60, 10), (60, 40))
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)
    QTest.keyClick(canvas, Qt.Key.Key_Z, CTRL)
    corners(canvas, (60, 60))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert counts == [1, 2, 3, 2, 1, 2, 0]
    assert not canvas.drop_corner()


@pytest.mark.qt_log_ignore("propagateSizeHints")  # the offscreen platform has none
def test_keys_of_a_polygon_in_the_making_go_before_the_windows_shortcuts(qtbot: QtBot, editor: MaskEditor) -> None:
    window, canvas = QMainWindow(), Canvas()
    qtbot.addWidget(window)
    window.setCentralWidget(canvas)
    fired: list[str] = []
    for key in ("Return", "Ctrl+Z"):
        action = QAction(key, window)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda _=False, key=key: fired.append(key))
        window.addAction(action)
    window.resize(424, 424)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    canvas.show_image(np.zeros((SIDE, SIDE), np.uint8), editor, None)
    canvas.setFocus()
    canvas.tool = Tool.POLYGON_ADD
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert fired == ["Return"]
    corners(canvas, (10, 10), (60, 10), (60, 40), (5, 40))
    QTest.keyClick(canvas, Qt.Key.Key_Z, CTRL)
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert fired == ["Return"]
    assert editor.can_undo
    QTest.keyClick(canvas, Qt.Key.Key_Z, CTRL)
    assert fired == ["Return", "Ctrl+Z"]


def test_other_tool_forgets_the_polygon_and_its_other_half_keeps_it(canvas: Canvas) -> None:
    canvas.tool = Tool.POLYGON_ADD
    corners(canvas, (10, 10), (60, 10))
    canvas.tool = Tool.POLYGON_SUBTRACT
    assert canvas.drop_corner()
    canvas.tool = Tool.BRUSH
    assert not canvas.drop_corner()


def test_rubber_band_leaves_no_trace(canvas: Canvas) -> None:
    canvas.tool = Tool.POLYGON_ADD
    corners(canvas, (10, 10), (60, 10), (60, 40))
    for point in ((90, 90), (5, 80), (11, 11), (70, 20)):
        mouse(
            canvas,
            QEvent.Type.MouseMove,
            at(*point),
            button=Qt.MouseButton.NoButton,
            held=Qt.MouseButton.NoButton,
        )
        QCoreApplication.processEvents()
        np.testing.assert_allclose(on_screen(canvas).astype(int), drawn(canvas), atol=2)


# Looking


def test_wheel_zooms_about_the_cursor_within_the_limits(canvas: Canvas, qtbot: QtBot) -> None:
    where = at(30, 70)
    with qtbot.waitSignal(canvas.zoom_changed):
        wheel(canvas, where, 120)
    for delta in (120, 120, 240, -120):
        wheel(canvas, where, delta)
    assert canvas.view.to_image(QPointF(where)) == pytest.approx((30, 70), abs=0.1)
    for _ in range(60):
        wheel(canvas, where, 120)
    assert canvas.zoom == MAX_ZOOM
    for _ in range(90):
        wheel(canvas, where, -120)
    assert canvas.zoom == MIN_ZOOM


def test_shift_wheel_resizes_the_tool_in_use_only(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.tool = Tool.ERASER
    with qtbot.waitSignal(canvas.diameter_changed) as changed:
        wheel(canvas, at(50, 50), 120, SHIFT)
    assert changed.args == [canvas.eraser_diameter]
    assert canvas.eraser_diameter > 10
    assert canvas.brush_diameter == 10
    assert canvas.zoom == 4


def test_diameter_steps_reach_both_ends_and_stay_there() -> None:
    diameter, seen = 1.0, []
    while diameter < 1024:
        diameter = stepped_diameter(diameter, 1)
        seen.append(diameter)
    assert seen == sorted(set(seen))
    assert len(seen) < 60
    while diameter > 1:
        smaller = stepped_diameter(diameter, -1)
        assert smaller < diameter
        diameter = smaller
    assert stepped_diameter(1, -1) == 1
    assert stepped_diameter(1024, 1) == 1024


@pytest.mark.parametrize("how", ["middle", "space", "tool"])
def test_dragging_pans(canvas: Canvas, editor: MaskEditor, how: str) -> None:
    if how == "tool":
        canvas.tool = Tool.PAN
    if how == "space":
        QTest.keyPress(canvas, Qt.Key.Key_Space)
    before = canvas.view
    drag(canvas, (50, 50), (60, 45), button=MIDDLE if how == "middle" else LEFT)
    assert (canvas.view.x - before.x, canvas.view.y - before.y) == (40, -20)
    assert not editor.mask.any()
    if how == "space":
        QTest.keyRelease(canvas, Qt.Key.Key_Space)
        click(canvas, 50, 50)
        assert editor.mask.any()


def test_image_cannot_be_pushed_out_of_sight(canvas: Canvas) -> None:
    canvas.pan_by(QPointF(1e6, -1e6))
    shown = canvas.view.widget_rect((0, 0, SIDE, SIDE)).intersected(canvas.rect())
    assert min(shown.width(), shown.height()) >= 40


def test_fitted_image_follows_the_size_of_the_window(canvas: Canvas) -> None:
    canvas.resize(224, 624)
    assert canvas.zoom == 2
    canvas.zoom = 3
    canvas.resize(424, 424)
    assert canvas.zoom == 3
    canvas.actual_size()
    assert canvas.zoom == 1
    canvas.fit()
    assert canvas.zoom == 4


def test_view_is_kept_for_the_next_image_if_wished(canvas: Canvas) -> None:
    image = np.zeros((SIDE, SIDE), np.uint8)
    canvas.zoom = 9
    canvas.keep_view = True
    canvas.show_image(image, MaskEditor(image), None)
    assert canvas.zoom == 9
    canvas.keep_view = False
    canvas.show_image(image, MaskEditor(image), None)
    assert canvas.zoom == 4


def test_hovered_tells_the_pixel_under_the_cursor(canvas: Canvas) -> None:
    seen: list[tuple[int, int]] = []
    canvas.hovered.connect(lambda x, y: seen.append((x, y)))
    for point in ((20.5, 30.5), (20.6, 30.6), (21.5, 30.5), (-2, 30)):
        mouse(
            canvas,
            QEvent.Type.MouseMove,
            at(*point),
            button=Qt.MouseButton.NoButton,
            held=Qt.MouseButton.NoButton,
        )
    assert seen == [(20, 30), (21, 30), (-1, -1)]


def prediction_square() -> Mask:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[60:90, 60:90] = 1
    return mask


def test_holding_tab_shows_the_prediction_instead_of_the_mask(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.show_prediction(prediction_square())
    drag(canvas, (10, 20), (40, 20))
    assert is_tinted(seen_at(canvas, 20, 20))
    assert not is_tinted(seen_at(canvas, 75, 75))
    QTest.keyPress(canvas, Qt.Key.Key_Tab)
    assert canvas.comparing
    assert not is_tinted(seen_at(canvas, 20, 20))
    assert is_tinted(seen_at(canvas, 75, 75))
    QTest.keyRelease(canvas, Qt.Key.Key_Tab)
    assert not canvas.comparing
    assert is_tinted(seen_at(canvas, 20, 20))


def test_comparing_without_a_prediction_shows_the_mask(canvas: Canvas, editor: MaskEditor) -> None:
    drag(canvas, (10, 20), (40, 20))
    canvas.comparing = True
    assert is_tinted(seen_at(canvas, 20, 20))


def test_contour_leaves_the_inside_bare_and_peeking_everything(canvas: Canvas, editor: MaskEditor) -> None:
    editor.replace(prediction_square(), "test")
    canvas.overlay = "contour"
    assert not is_tinted(seen_at(canvas, 75, 75))
    assert seen_at(canvas, 60.1, 75) == class_colour(1).getRgb()[:3]
    canvas.peeking = True
    assert not is_tinted(seen_at(canvas, 60.1, 75))
    canvas.peeking = False
    canvas.overlay = "off"
    assert not is_tinted(seen_at(canvas, 60.1, 75))


def test_opacity_sets_the_strength_of_the_fill(canvas: Canvas, editor: MaskEditor) -> None:
    editor.replace(prediction_square(), "test")
    canvas.opacity = 1.0
    assert seen_at(canvas, 75, 75) == class_colour(1).getRgb()[:3]
    canvas.opacity = 0.5
    middle = [round((128 + channel) / 2) for channel in class_colour(1).getRgb()[:3]]
    np.testing.assert_allclose(seen_at(canvas, 75, 75), middle, atol=2)


def test_classes_differ_by_more_than_colour(canvas: Canvas, editor: MaskEditor) -> None:
    canvas.overlay = "contour"
    strokes = []
    for value in (1, 2, 3):
        editor.replace(prediction_square() * value, "test")
        line = drawn(canvas)[at(60, 65).y() : at(60, 85).y(), at(60, 0).x() + 1]
        strokes.append((line == class_colour(value).getRgb()[:3]).all(axis=1).mean())
    assert strokes[0] == 1
    assert strokes[0] > strokes[1] + 0.2 > strokes[2] + 0.25


def test_every_pixel_value_has_a_colour(canvas: Canvas, editor: MaskEditor) -> None:
    for value in (9, 254):
        editor.replace(prediction_square() * np.uint8(value), "test")
        canvas.refresh()
        assert is_tinted(seen_at(canvas, 75, 75)) or value % 8 == 0


@pytest.mark.parametrize("zoom", [0.2, 1.0, 4.0])
def test_tone_changes_the_display_and_nothing_else(qtbot: QtBot, zoom: float) -> None:
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(424, 424)
    image = np.full((300, 300), 100, np.uint8)
    canvas.show_image(image, MaskEditor(np.zeros((300, 300), np.uint8)), None)
    canvas.zoom = zoom
    for tone, shown in ((Tone(brightness=0.2), 151), (Tone(contrast=2), 73), (Tone(gamma=2), 160), (Tone(), 100)):
        canvas.tone = tone
        np.testing.assert_allclose(drawn(canvas)[212, 212], shown, atol=1)
    assert np.all(image == 100)


def test_pixels_are_crisp_from_200_percent_and_smooth_below(qtbot: QtBot) -> None:
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(424, 424)
    image = np.kron(np.indices((100, 100)).sum(axis=0) % 2, np.ones((1, 1))).astype(np.uint8) * 255
    canvas.show_image(image, MaskEditor(np.zeros((100, 100), np.uint8)), None)
    for zoom, crisp in ((0.5, False), (1.5, False), (2.0, True), (7.0, True)):
        canvas.zoom = zoom
        assert (set(np.unique(drawn(canvas)[190:230, 190:230])) == {0, 255}) is crisp


def test_sixteen_bit_image_is_shown_with_its_contrast_stretched(qtbot: QtBot) -> None:
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(424, 424)
    image = np.zeros((100, 100), np.uint16)
    image[:, 50:] = 1000
    canvas.show_image(image, MaskEditor(np.zeros((100, 100), np.uint8)), None)
    assert drawn(canvas)[212, 100].max() < 10
    assert drawn(canvas)[212, 300].min() > 245


def test_empty_canvas_says_what_to_do(canvas: Canvas) -> None:
    canvas.clear()
    blank = drawn(canvas)
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    canvas.set_empty_text("Nothing below the threshold")
    assert len(np.unique(drawn(canvas).reshape(-1, 3), axis=0)) > 1


def test_canvas_has_an_accessible_name(canvas: Canvas) -> None:
    assert canvas.accessibleName()
    assert canvas.accessibleDescription()


# Coordinates

sizes = st.builds(QSize, st.integers(1, 20_000), st.integers(1, 20_000))


@given(sizes, st.builds(QSize, st.integers(1, 3000), st.integers(1, 3000)))
def test_fitted_view_shows_the_whole_image(image: QSize, widget: QSize) -> None:
    shown = View.fitted(image, widget).widget_rect((0, 0, image.height(), image.width()))
    assert shown.width() <= widget.width() + 2
    assert shown.height() <= widget.height() + 2


@given(
    st.floats(0.05, 64),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.lists(st.floats(0.5, 2), min_size=1, max_size=20),
)
def test_zooming_keeps_the_point_under_the_cursor(zoom: float, x: float, y: float, factors: list[float]) -> None:
    view, cursor = View(zoom, 10.0, -20.0), QPointF(x, y)
    before = view.to_image(cursor)
    for factor in factors:
        view = view.zoomed(factor, cursor)
    after = view.to_image(cursor)
    # Positions are drawn on whole widget pixels from 100 % on.
    slack = 1.01 / min(zoom, view.zoom)
    assert after == pytest.approx(before, abs=slack)
    assert MIN_ZOOM <= view.zoom <= MAX_ZOOM


@given(st.floats(0.05, 64), st.floats(-500, 500), st.floats(0, 1000), st.floats(0, 1000))
def test_image_and_widget_coordinates_are_inverse(zoom: float, origin: float, x: float, y: float) -> None:
    view = View(zoom, origin, -origin)
    assert view.to_image(view.to_widget((x, y))) == pytest.approx((x, y), abs=1e-6)
