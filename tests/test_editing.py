"""The mask editor: what strokes and polygons paint, and that every edit can be taken back."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.editing import TILE, MaskEditor, Patch
from labeler.errors import MaskError
from labeler.records import Mask
from labeler.spans import Point


def editor_of(height: int, width: int) -> MaskEditor:
    return MaskEditor(np.zeros((height, width), np.uint8))


def stroke(editor: MaskEditor, points: list[Point], *, value: int = 1, diameter: float = 8) -> Patch | None:
    editor.begin_stroke(value=value, diameter=diameter)
    editor.extend_stroke(points)
    return editor.end_stroke()


def near_path(shape: tuple[int, int], points: list[Point], radius: float) -> Mask:
    """Reference: pixels whose centres lie within ``radius`` of the path, by distance to each segment."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((columns - x0) * dx + (rows - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        inside |= np.hypot(columns - x0 - t * dx, rows - y0 - t * dy) <= radius
    return inside.astype(np.uint8)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.floats(-20, 80), st.floats(-20, 60)), min_size=1, max_size=4),
    st.floats(2, 40),
)
def test_stroke_paints_the_pixels_within_half_a_diameter_of_the_path(points: list[Point], diameter: float) -> None:
    editor = editor_of(40, 60)
    stroke(editor, points, diameter=diameter)
    surely, perhaps = (near_path((40, 60), points, diameter / 2 + slack) for slack in (-1e-6, 1e-6))
    assert np.all(editor.mask >= surely)
    assert np.all(editor.mask <= perhaps)


@pytest.mark.parametrize("diameter", [0.2, 1, 1.9])
def test_thin_brush_always_paints_an_unbroken_line(diameter: float) -> None:
    editor = editor_of(30, 30)
    stroke(editor, [(0.01, 0.99), (29.99, 11.0)], diameter=diameter)
    assert editor.mask[0, 0] == 1
    assert editor.mask[11, 29] == 1
    assert editor.mask.any(axis=0).all()


def test_tapered_stroke_is_the_hull_of_its_discs() -> None:
    editor = editor_of(60, 100)
    editor.begin_stroke(value=1, diameter=40)
    editor.extend_stroke([(25, 30)])
    editor.extend_stroke([(85, 30)], diameter=10)
    editor.end_stroke()
    widths = editor.mask.sum(axis=0)
    assert widths[25] == 40
    assert np.all(np.diff(widths[26:89].astype(int)) <= 0)
    assert 22 <= widths[55] <= 27


def test_small_disc_inside_the_last_one_adds_nothing() -> None:
    editor = editor_of(60, 60)
    editor.begin_stroke(value=1, diameter=40)
    editor.extend_stroke([(30, 30)])
    before = editor.mask.copy()
    editor.extend_stroke([(32, 30)], diameter=4)
    np.testing.assert_array_equal(editor.mask, before)


def test_dirty_rectangle_holds_every_changed_pixel_and_no_more() -> None:
    editor = editor_of(600, 600)
    editor.begin_stroke(value=3, diameter=21)
    assert editor.extend_stroke([(-90, -90)]) is None
    dirty = editor.extend_stroke([(280, 300), (500, 310)])
    assert dirty is not None
    rows, columns = np.nonzero(editor.mask)
    assert dirty == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)


@pytest.mark.parametrize("point", [(float("nan"), 3.0), (float("inf"), 3.0), (3.0, float("-inf"))])
def test_points_that_are_no_numbers_are_passed_over(point: Point) -> None:
    editor = editor_of(20, 20)
    assert stroke(editor, [point]) is None
    assert editor.fill_polygon([(0, 0), point, (5, 5)], value=1) is None


def test_points_far_outside_paint_only_what_lies_inside() -> None:
    editor = editor_of(20, 20)
    stroke(editor, [(-1e12, 10), (1e12, 10)], diameter=4)
    assert editor.mask.sum() == 4 * 20


def test_stroke_that_changes_nothing_leaves_no_undo_step() -> None:
    editor = editor_of(20, 20)
    assert stroke(editor, [(10, 10)], value=0) is None
    assert not editor.can_undo
    assert not editor.is_changed


def test_patch_holds_exactly_the_changed_rectangle() -> None:
    editor = editor_of(700, 700)
    stroke(editor, [(TILE, TILE)], diameter=40)
    patch = stroke(editor, [(TILE - 30, TILE), (TILE + 300, TILE + 10)], value=2, diameter=10)
    assert patch is not None
    y0, x0, y1, x1 = patch.rect
    differs = patch.before != patch.after
    assert differs[0].any()
    assert differs[-1].any()
    assert differs[:, 0].any()
    assert differs[:, -1].any()
    np.testing.assert_array_equal(editor.mask[y0:y1, x0:x1], patch.after)
    assert set(np.unique(patch.before)) == {0, 1}
    assert patch.name == "brush"


def test_undo_and_redo_walk_through_all_states() -> None:
    rng = np.random.default_rng(0)
    editor = editor_of(300, 520)
    states = [editor.mask.copy()]
    for step in range(30):
        points = [tuple(p) for p in rng.uniform(-10, 530, (3, 2))]
        edit = stroke(editor, points, value=step % 3, diameter=float(rng.uniform(1, 60)))
        if edit is not None:
            states.append(editor.mask.copy())
    for state in reversed(states[:-1]):
        assert editor.undo() is not None
        np.testing.assert_array_equal(editor.mask, state)
    assert editor.undo() is None
    assert not editor.is_changed
    for state in states[1:]:
        patch = editor.redo()
        assert patch is not None
        y0, x0, y1, x1 = patch.rect
        np.testing.assert_array_equal(patch.after, state[y0:y1, x0:x1])
        np.testing.assert_array_equal(editor.mask, state)
    assert editor.redo() is None


def test_new_edit_forgets_what_was_undone() -> None:
    editor = editor_of(20, 20)
    stroke(editor, [(5, 5)])
    editor.undo()
    stroke(editor, [(15, 15)])
    assert not editor.can_redo
    assert editor.can_undo


def test_undo_budget_drops_the_oldest_and_keeps_the_newest() -> None:
    editor = MaskEditor(np.zeros((100, 100), np.uint8), budget_bytes=1000)
    for x in (10, 30, 50, 70, 90):
        stroke(editor, [(x, 50)], diameter=16)  # some 300 bytes each
    undone = 0
    while editor.undo():
        undone += 1
    assert 2 <= undone <= 3
    assert editor.mask[50, 30] == 1
    assert editor.mask[50, 90] == 0
    editor.replace(np.random.default_rng(0).integers(0, 255, (100, 100), np.uint8), "noise")  # alone over the budget
    assert editor.undo() is not None
    assert editor.undo() is None


def test_budget_counts_undone_edits_once() -> None:
    editor = MaskEditor(np.zeros((100, 100), np.uint8), budget_bytes=1000)
    for _ in range(50):
        stroke(editor, [(10, 50)], diameter=16)
        editor.undo()
    stroke(editor, [(10, 50)], diameter=16)
    stroke(editor, [(50, 50)], diameter=16)
    assert editor.undo() is not None
    assert editor.undo() is not None


def test_a_thousand_strokes_grow_the_memory_by_less_than_a_megabyte() -> None:
    editor = editor_of(1000, 1000)
    rng = np.random.default_rng(0)
    stroke(editor, [(500, 500)])
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(100):  # a tenth: every allocation is traced, which is slow
        start = rng.uniform(0, 1000, 2)
        path = start + np.cumsum(rng.normal(0, 8, (12, 2)), axis=0)
        stroke(editor, [tuple(point) for point in path], value=number % 2, diameter=12)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2**20 / 10


def test_mask_is_one_array_for_life_and_the_given_one_stays_untouched() -> None:
    given_mask = np.zeros((50, 50), np.uint8)
    editor = MaskEditor(given_mask)
    mask = editor.mask
    stroke(editor, [(25, 25)])
    editor.replace(np.full((50, 50), 2, np.uint8), "revert")
    editor.undo()
    assert editor.mask is mask
    assert not given_mask.any()
    assert not editor.base.any()


def test_other_edits_wait_while_a_stroke_is_in_hand() -> None:
    editor = editor_of(50, 50)
    stroke(editor, [(10, 10)])
    editor.begin_stroke(value=2, diameter=6)
    editor.extend_stroke([(30, 30)])
    assert not editor.can_undo
    assert editor.undo() is None
    assert editor.invert() is None
    patch = editor.end_stroke()
    assert patch is not None
    assert patch.before.max() == 0
    assert editor.end_stroke() is None


def test_cancelled_stroke_is_gone_without_a_trace() -> None:
    editor = editor_of(600, 600)
    stroke(editor, [(250, 250)])
    before = editor.mask.copy()
    editor.begin_stroke(value=0, diameter=50)
    editor.extend_stroke([(200, 200), (400, 300)])
    dirty = editor.cancel_stroke()
    np.testing.assert_array_equal(editor.mask, before)
    assert dirty is not None
    assert dirty[0] <= 200
    assert editor.undo() is not None
    assert not editor.mask.any()
    assert editor.cancel_stroke() is None


def test_stroke_allocates_only_what_it_touches() -> None:
    editor = editor_of(4096, 4096)
    tracemalloc.start()
    editor.begin_stroke(value=1, diameter=8)
    editor.extend_stroke([(10, 10), (4000, 4000)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 * TILE * TILE + 2**20  # 16 tiles on the diagonal, their neighbours, and the spans


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-10, 50), st.floats(-10, 40)), min_size=3, max_size=7))
def test_polygon_fills_the_pixels_whose_centres_lie_inside(points: list[Point]) -> None:
    editor = editor_of(30, 40)
    editor.fill_polygon(points, value=1)
    np.testing.assert_array_equal(editor.mask, by_ray(points, (30, 40)))


def by_ray(points: list[Point], shape: tuple[int, int]) -> Mask:
    """Reference: count the edges that a ray from each pixel's centre to the left crosses."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if y0 != y1:
            crosses = (rows >= min(y0, y1)) & (rows < max(y0, y1))
            with np.errstate(over="ignore"):
                inside ^= crosses & (columns >= x0 + (rows - y0) * ((x1 - x0) / (y1 - y0)))
    return inside.astype(np.uint8)


def test_polygon_subtracts_a_hole_and_leaves_the_other_part() -> None:
    editor = editor_of(60, 60)
    editor.fill_polygon([(2, 2), (30, 2), (30, 30), (2, 30)], value=1)
    editor.fill_polygon([(40, 40), (50, 40), (50, 50), (40, 50)], value=1)
    patch = editor.fill_polygon([(10, 10), (20, 10), (20, 20), (10, 20)], value=0)
    assert patch is not None
    assert patch.rect == (10, 10, 20, 20)
    assert editor.mask.sum() == 28 * 28 + 100 - 100


@pytest.mark.parametrize(
    "points", [[], [(1, 1), (9, 9)], [(50, 50), (60, 50), (60, 60)], [(3.1, 3.1), (3.2, 3.1), (3.2, 3.2)]]
)
def test_polygon_that_holds_no_pixel_changes_nothing(points: list[Point]) -> None:
    editor = editor_of(20, 20)
    assert editor.fill_polygon(points, value=1) is None
    assert not editor.can_undo


def test_fill_holes_fills_each_with_the_class_around_it_and_spares_bays() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:20, 5:20] = 1
    mask[9:14, 9:14] = 0
    mask[11, 11] = 1  # an island inside the hole
    mask[5:20, 30:45] = 2
    mask[8:12, 34:38] = 0
    mask[25:38, 5:20] = 1
    mask[30:38, 10:15] = 0  # a bay that opens downwards
    mask[0:4, 50:60] = 1
    mask[0:2, 54:57] = 0  # open at the image's border
    editor = MaskEditor(mask)
    assert editor.fill_holes() is not None
    assert np.all(editor.mask[5:20, 5:20] == 1)
    assert np.all(editor.mask[5:20, 30:45] == 2)
    assert not editor.mask[30:38, 10:15].any()
    assert not editor.mask[0:2, 54:57].any()
    assert editor.fill_holes() is None


def test_remove_specks_clears_small_parts_of_each_class() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[2:12, 2:12] = 1
    mask[2:4, 20:22] = 1
    mask[12, 12] = 1  # touches the big part by its corner
    mask[20:30, 20:30] = 2
    mask[30:32, 30] = 2
    mask[22, 22] = 1  # a speck inside another class
    editor = MaskEditor(mask)
    patch = editor.remove_specks(5)
    assert patch is not None
    assert editor.mask[2:4, 20:22].sum() == 0
    assert editor.mask[12, 12] == 1
    assert editor.mask[30, 30] == 2
    assert editor.mask[22, 22] == 0
    assert editor.remove_specks(5) is None


def test_remove_specks_of_a_mask_without_background() -> None:
    editor = MaskEditor(np.full((4, 4), 1, np.uint8))
    assert editor.remove_specks(5) is None
    assert editor.remove_specks(100) is not None
    assert not editor.mask.any()


def test_invert_swaps_background_and_foreground() -> None:
    editor = editor_of(10, 10)
    stroke(editor, [(5, 5)], value=3, diameter=4)
    painted = editor.mask > 0
    editor.invert(value=2)
    np.testing.assert_array_equal(editor.mask, np.where(painted, 0, 2))


@pytest.mark.parametrize("mask", [np.zeros((5, 6), np.uint8), np.zeros((5, 5), np.uint16), np.zeros((5, 5), bool)])
def test_replace_refuses_a_mask_that_does_not_fit(mask: Mask) -> None:
    editor = editor_of(5, 5)
    with pytest.raises(MaskError, match="does not fit"):
        editor.replace(mask, "revert")


def test_rebased_editor_is_as_if_freshly_opened() -> None:
    editor = editor_of(20, 20)
    mask = editor.mask
    stroke(editor, [(5, 5)])
    editor.begin_stroke(value=2, diameter=4)
    editor.extend_stroke([(15, 15)])
    fresh = np.full((20, 20), 1, np.uint8)
    editor.rebase(fresh)
    assert editor.mask is mask
    assert np.all(mask == 1)
    assert not any((editor.is_changed, editor.can_undo, editor.can_redo, editor.in_stroke))
    stroke(editor, [(5, 5)], value=2)
    assert editor.is_changed
    assert np.all(fresh == 1)
    with pytest.raises(MaskError, match="does not fit"):
        editor.rebase(np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize("mask", [np.zeros((5, 6, 1), np.uint8), np.zeros((5, 5)), np.zeros((0, 5), np.uint8)])
def test_editor_refuses_what_is_no_mask(mask: Mask) -> None:
    with pytest.raises(MaskError, match="cannot be edited"):
        MaskEditor(mask)


def test_restored_journal_gives_the_same_mask_undo_and_redo() -> None:
    first = editor_of(80, 80)
    journal: list[Patch | str] = []
    for x in (10, 30, 50):
        journal.append(stroke(first, [(x, 40)], diameter=30))
    journal.append(first.fill_polygon([(0, 0), (70, 0), (0, 70)], value=2))
    for word in ("undo", "undo", "redo", "undo"):
        journal.append(word)
        getattr(first, word)()
    second = editor_of(80, 80)
    second.restore(journal)
    np.testing.assert_array_equal(second.mask, first.mask)
    while first.redo():
        assert second.redo() is not None
        np.testing.assert_array_equal(second.mask, first.mask)
    while first.undo():
        assert second.undo() is not None
        np.testing.assert_array_equal(second.mask, first.mask)
    assert not second.can_undo


def test_restore_stops_at_an_entry_that_does_not_fit() -> None:
    editor = editor_of(20, 20)
    good = stroke(editor, [(5, 5)], diameter=4)
    assert good is not None
    ones = np.ones((4, 4), np.uint8)
    packed = Patch((0, 0, 4, 4), ones * 0, ones, "brush").edit
    for bad in (
        replace(packed, was=packed.was + 1),
        replace(packed, rect=(18, 18, 22, 22)),
        Patch((0, 0, 4, 4), ones, ones, "brush").edit,
        Patch((0, 0, 4, 4), ones, ones, "brush"),
        Patch((18, 18, 22, 22), ones * 0, ones, "brush"),
        Patch((0, 0, 9, 9), ones * 0, ones, "brush"),
    ):
        other = editor_of(20, 20)
        with pytest.raises(MaskError, match="does not fit"):
            other.restore([good, bad])
        np.testing.assert_array_equal(other.mask, editor.mask)


def test_packed_edit_of_another_size_is_refused() -> None:
    mask = np.zeros((20, 20), np.uint8)
    packed = Patch((0, 0, 4, 4), mask[:4, :4], np.ones((4, 4), np.uint8), "brush").edit
    np.testing.assert_array_equal(packed.patch(mask).after, 1)
    for size in (15, 17, 1_000_000):
        with pytest.raises(MaskError, match="does not fit"):
            replace(packed, delta=zlib.compress(bytes(size))).patch(mask)


def test_ten_thousand_strokes_can_all_be_taken_back() -> None:
    editor = editor_of(64, 64)
    for step in range(10_000):
        stroke(editor, [(step % 64 + 0.5, step // 64 % 64 + 0.5)], value=1 + step // 4096, diameter=1)
    undone = 0
    while editor.undo():
        undone += 1
    assert undone == 10_000
    assert not editor.mask.any()


def test_whether_anything_is_changed_is_known_without_comparing_the_masks() -> None:
    """Counted edit by edit; beside it the comparison that it stands for, after every step of a random session."""
    rng = np.random.default_rng(4)
    editor = MaskEditor(rng.integers(0, 2, (300, 270), np.uint8))
    for step in range(150):
        kind = rng.integers(7)
        if kind < 3:
            editor.begin_stroke(value=int(rng.integers(3)), diameter=float(rng.uniform(1, 60)))
            editor.extend_stroke([tuple(rng.uniform(-20, 300, 2)) for _ in range(2)])
            assert editor.is_changed == (not np.array_equal(editor.mask, editor.base)), step
            editor.cancel_stroke() if kind == 0 else editor.end_stroke()
        elif kind == 3:
            editor.replace(editor.base, "revert")
        elif kind == 4:
            editor.redo()
        else:
            editor.undo()
        assert editor.is_changed == (not np.array_equal(editor.mask, editor.base)), step


def test_read_only_mask_is_kept_as_the_base_and_a_writable_one_is_copied() -> None:
    given = np.ones((4, 5), np.uint8)
    assert MaskEditor(given).base is not given
    given.flags.writeable = False
    editor = MaskEditor(given)
    assert editor.base is given
    editor.fill_polygon([(0, 0), (5, 0), (5, 4), (0, 4)], value=0)
    assert given.all()


def test_blank_editor_is_like_one_of_an_empty_mask() -> None:
    editor = MaskEditor.blank((30, 20))
    assert editor.mask.shape == editor.base.shape == (30, 20)
    assert not editor.mask.any()
    assert not editor.is_changed
    editor.begin_stroke(value=1, diameter=4)
    editor.extend_stroke([(10, 10)])
    assert editor.end_stroke() is not None
    assert editor.is_changed
    assert not editor.base.any()
