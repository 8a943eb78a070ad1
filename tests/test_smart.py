"""Tools that look at the image: what they find on pictures whose truth is known."""

from __future__ import annotations

import time
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labeler.editing import (
    MaskEditor,
    Scribble,
    alike,
    alike_in_disc,
    boxed,
    connected,
    parts,
    resolved,
    slices,
)
from labeler.editing.snapping import snapped_to_edges
from labeler.metrics import iou
from labeler.records import Mask


def blobs(side: int = 160, *, noise: float = 8.0) -> tuple[NDArray[np.uint8], Mask]:
    """A grey picture of three bright discs on dark ground, with noise, and its mask."""
    mask = np.zeros((side, side), np.uint8)
    for x, y, radius in ((40, 40, 18), (110, 50, 14), (70, 115, 22)):
        cv2.circle(mask, (x, y), radius, 1, -1)
    grey = cv2.GaussianBlur(np.where(mask > 0, 150.0, 60.0), (0, 0), 1.0)
    grey = grey + np.random.default_rng(0).normal(0, noise, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), mask


def painted(mask: Mask, found: tuple[tuple[int, int, int, int], NDArray[np.bool_]] | None, value: int = 1) -> Mask:
    assert found is not None
    after = mask.copy()
    after[slices(found[0])][found[1]] = value
    return after


# Smart brush


@pytest.mark.parametrize("colour", [False, True])
def test_smart_brush_stops_at_the_edge_of_the_object(colour: bool) -> None:
    grey, mask = blobs()
    pixels = np.dstack([grey, grey // 2, 255 - grey]) if colour else grey
    after = painted(np.zeros_like(mask), alike_in_disc(pixels, (54.0, 40.0), 30))
    assert after.any()
    assert not (after & (cv2.dilate(mask, np.ones((3, 3))) == 0)).any()
    assert after[40, 46:56].all()


def test_smart_brush_paints_its_whole_disc_where_all_is_alike() -> None:
    grey, mask = blobs()
    after = painted(np.zeros_like(mask), alike_in_disc(grey, (40.0, 40.0), 20))
    assert after.sum() == pytest.approx(np.pi * 100, rel=0.08)


def test_smart_brush_outside_the_image_finds_nothing() -> None:
    grey, _ = blobs()
    assert alike_in_disc(grey, (-50.0, 20.0), 30) is None
    assert alike_in_disc(grey, (-3.0, 20.0), 30) is not None


# Wand


def test_wand_takes_more_with_more_tolerance() -> None:
    grey, mask = blobs(noise=3)
    sizes = [painted(np.zeros_like(mask), alike(grey, (40.5, 40.5), tolerance)).sum() for tolerance in (2, 30, 200)]
    assert sizes[0] < sizes[1] < sizes[2] == mask.size
    assert iou(painted(np.zeros_like(mask), alike(grey, (40.5, 40.5), 45)), mask * (np.arange(160) < 75)) > 0.3
    assert alike(grey, (400.0, 2.0), 10) is None


def test_wand_leaves_the_image_as_it_is() -> None:
    grey, _ = blobs()
    before = grey.copy()
    grey.flags.writeable = False
    assert alike(grey, (40.5, 40.5), 30) is not None
    np.testing.assert_array_equal(grey, before)


# Box


@pytest.mark.parametrize("predicted", [False, True])
def test_box_finds_the_object_in_it(predicted: bool) -> None:
    grey, mask = blobs()
    probability = cv2.GaussianBlur(mask * 255, (0, 0), 3) if predicted else None
    after = painted(np.zeros_like(mask), boxed(grey, probability, (15, 16, 64, 66)))
    expected = mask.copy()
    expected[:, 66:] = expected[64:] = 0
    assert iou(after, expected) > 0.93


def test_large_box_is_solved_coarser_and_still_finds_the_object() -> None:
    grey, mask = blobs()
    large, truth = (cv2.resize(plane, (1120, 1120), interpolation=cv2.INTER_NEAREST) for plane in (grey, mask))
    after = painted(np.zeros_like(truth), boxed(large, None, (480, 280, 1020, 720)))
    truth[:480] = truth[:, 720:] = 0
    assert iou(after, truth) > 0.93


@pytest.mark.parametrize("box", [(5, 5, 5, 40), (-20, -20, 0, 0), (0, 0, 1, 1)])
def test_empty_box_finds_nothing(box: tuple[int, int, int, int]) -> None:
    assert boxed(blobs()[0], None, box) is None


def test_box_around_the_whole_image_does_not_fail() -> None:
    grey, mask = blobs()
    assert boxed(grey, None, (0, 0, *mask.shape)) is not None


# Snap to edge


def test_outlines_snap_to_edges_from_either_side() -> None:
    grey, mask = blobs()
    for change in (cv2.dilate, cv2.erode):
        loose = change(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
        made = snapped_to_edges(grey, loose * np.uint8(3))
        assert made is not None
        after = loose * np.uint8(3)
        after[slices(made[0])] = made[1]
        assert set(np.unique(after)) == {0, 3}
        assert iou(after, mask) > 0.95 > iou(loose, mask)


def test_outlines_that_no_edge_speaks_against_stay() -> None:
    grey, mask = blobs()
    made = snapped_to_edges(grey, mask)
    assert made is not None
    assert iou(made[1], mask[slices(made[0])]) > 0.97, "what lies right stays"
    noise = np.random.default_rng(3).normal(20, 2, (160, 160)).astype(np.uint8)
    square = np.zeros_like(mask)
    square[40:100, 40:100] = 2
    made = snapped_to_edges(noise, square)
    assert made is not None
    assert iou(made[1], square[slices(made[0])]) > 0.97, "noise is no edge"


def test_snap_is_the_same_whatever_the_tiles() -> None:
    grey = np.random.default_rng(5).integers(0, 255, (700, 600), np.uint8)
    grey = cv2.GaussianBlur(grey, (0, 0), 3)
    mask = cv2.dilate((grey > 135).astype(np.uint8), np.ones((3, 3), np.uint8)) + (grey > 150).astype(np.uint8)
    made = snapped_to_edges(grey, mask)
    assert made is not None
    with patch("labeler.editing.snapping._TILE", 4096):
        whole = snapped_to_edges(grey, mask)
    assert whole is not None
    assert made[0] == whole[0]
    np.testing.assert_array_equal(made[1], whole[1])


def test_snap_keeps_thin_parts_and_has_nothing_to_do_without_foreground() -> None:
    grey, mask = blobs()
    thin = np.zeros_like(mask)
    thin[20:140, 80:83] = 1
    made = snapped_to_edges(grey, thin)
    assert made is not None
    assert made[1].any()
    assert snapped_to_edges(grey, np.zeros_like(mask)) is None


def test_snap_loses_no_part_at_the_rim_of_the_image_and_no_small_one() -> None:
    grey, mask = blobs()
    mask[156:, 60:90] = mask[70:100, 157:] = mask[:4, :6] = 1
    mask[10, 100] = mask[120:122, 20:22] = 1
    mask[40, 40] = 0
    made = snapped_to_edges(grey, mask)
    assert made is not None
    after = mask.copy()
    after[slices(made[0])] = made[1]
    for rows, columns in ((156, 60), (70, 157), (0, 0), (10, 100), (120, 20)):
        assert after[rows : rows + 2, columns : columns + 30].any(), (rows, columns)
    assert not after[40, 40]


# Parts


def test_connected_part_is_of_one_value_and_does_not_leak_through_a_slanted_line() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[np.arange(20), np.arange(20)] = 2
    above = connected(mask, (15.5, 2.5))
    assert above is not None
    assert above[1].sum() == 190
    line = connected(mask, (4.5, 4.5))
    assert line is not None
    assert line[1].sum() == 20
    assert connected(mask, (-0.5, 3.0)) is None


def test_parts_are_told_in_reading_order() -> None:
    _, mask = blobs()
    mask[:5, 150:] = 2
    assert parts(mask) == [(0, 150, 5, 160), (22, 22, 59, 59), (36, 96, 65, 125), (93, 48, 138, 93)]


# Scribble


def scribbled(
    grey: NDArray[np.uint8], mask: Mask, probability: NDArray[np.uint8] | None, scribble: Scribble, *earlier: Scribble
) -> Mask:
    made = resolved(grey, mask, probability, scribble, earlier)
    assert made is not None
    after = mask.copy()
    after[slices(made[0])] = made[1]
    return after


@pytest.mark.parametrize("predicted", [False, True])
def test_short_stroke_brings_a_missed_object_back_and_nothing_else(predicted: bool) -> None:
    grey, mask = blobs()
    missed = mask.copy()
    missed[20:61, 20:61] = 0
    probability = cv2.GaussianBlur(missed * 230, (0, 0), 1.5) if predicted else None
    after = scribbled(grey, missed, probability, Scribble(((35.5, 38.5), (45.5, 42.5)), 3, 1))
    assert iou(after, mask) > 0.9
    np.testing.assert_array_equal(after[95:], mask[95:])


def rim(x: float, y: float, radius: float, steps: range) -> tuple[tuple[float, float], ...]:
    """Along the upper side of a circle."""
    return tuple((float(at), y - (radius**2 - (at - x) ** 2) ** 0.5) for at in steps)


def test_stroke_on_a_loose_rim_tightens_its_object_and_a_wide_one_those_around() -> None:
    grey, mask = blobs()
    loose = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    probability = cv2.GaussianBlur(loose * 230, (0, 0), 1.5)
    stroke = Scribble(rim(40.5, 40.5, 19.8, range(28, 54, 3)), 2, 0)
    alone = scribbled(grey, loose, probability, stroke)
    assert iou(alone[:70, :70], mask[:70, :70]) > 0.89 > 0.84 > iou(loose[:70, :70], mask[:70, :70])
    np.testing.assert_array_equal(alone[75:], loose[75:])
    made = resolved(grey, loose, probability, stroke, wide=True)
    assert made is not None
    around = loose.copy()
    around[slices(made[0])] = made[1]
    assert iou(around[75:], mask[75:]) > 0.87 > 0.85 > iou(loose[75:], mask[75:])


def test_stroke_changes_nothing_that_does_not_hang_together_with_it() -> None:
    grey, mask = blobs()
    missed = mask * (np.arange(160)[:, None] > 80).astype(np.uint8)
    missed[5:9, 100:140] = 1  # wrong, and said to be nothing by no stroke
    after = scribbled(grey, missed, None, Scribble(((35.5, 38.5), (45.5, 42.5)), 3, 1))
    gained = (after != missed).astype(np.uint8)
    assert cv2.connectedComponents(gained, connectivity=8)[0] == 2


def test_short_stroke_takes_a_wrong_part_away_and_keeps_its_neighbours() -> None:
    grey, mask = blobs()
    wrong = mask.copy()
    wrong[60:85, 20:50] = 1
    probability = cv2.GaussianBlur(wrong * 230, (0, 0), 1.5)
    after = scribbled(grey, wrong, probability, Scribble(((25.5, 72.5), (44.5, 72.5)), 3, 0))
    assert iou(after, mask) > 0.93 > iou(wrong, mask)


def test_stroke_paints_at_least_itself_in_its_class() -> None:
    grey, mask = blobs()
    after = scribbled(grey, mask, None, Scribble(((5.5, 150.5), (30.5, 150.5)), 3, 4))
    assert (after[150, 5:30] == 4).all()
    assert set(np.unique(after)) == {0, 1, 4}


def test_what_an_earlier_stroke_has_said_holds() -> None:
    grey, mask = blobs()
    missed = mask.copy()
    missed[20:61, 20:61] = 0
    denied = Scribble(((30.5, 30.5), (50.5, 30.5)), 3, 0)
    after = scribbled(grey, missed, None, Scribble(((40.5, 45.5),), 3, 1), denied)
    assert after[45, 40]
    assert not after[30, 31:50].any()


def test_stroke_outside_the_image_does_nothing() -> None:
    grey, mask = blobs()
    assert resolved(grey, mask, None, Scribble(((-50.0, -50.0),), 3, 1)) is None


# As edits


def test_smart_edits_are_undone_and_redone_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    grey, mask = blobs()
    editor = MaskEditor(cv2.dilate(mask, np.ones((5, 5), np.uint8)))
    before = editor.mask.copy()
    patch = editor.snap(grey)
    assert patch is not None
    after = editor.mask.copy()
    assert editor.undo() is not None
    np.testing.assert_array_equal(editor.mask, before)
    assert editor.redo() is not None
    np.testing.assert_array_equal(editor.mask, after)
    fresh = MaskEditor(before)
    fresh.restore([patch])
    np.testing.assert_array_equal(fresh.mask, after)


def test_scribble_on_a_large_image_costs_no_more_than_its_region() -> None:
    grey, mask = blobs()
    large, missed = np.tile(grey, (12, 12)), np.tile(mask, (12, 12))
    missed[180:230, 180:230] = 0
    started = time.process_time()
    scribbled(large, missed, None, Scribble(((195.5, 198.5), (205.5, 202.5)), 3, 1))
    assert time.process_time() - started < 1.0
