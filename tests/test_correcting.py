"""The simulated person who corrects: both tools reach the goal, and their costs follow what was wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labeler.metrics import iou
from labeler.records import Mask
from labeler.studies.correcting import with_brush, with_scribbles


@pytest.fixture
def truth() -> Mask:
    mask = np.zeros((160, 160), np.uint8)
    for x, y, radius in ((40, 40, 18), (110, 50, 14), (70, 115, 22)):
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask


@pytest.fixture
def rgb(truth: Mask) -> NDArray[np.uint8]:
    grey = cv2.GaussianBlur(np.where(truth > 0, 150.0, 60.0), (0, 0), 0.7)
    grey = grey + np.random.default_rng(0).normal(0, 5, grey.shape)
    return np.dstack([np.clip(grey, 0, 255).astype(np.uint8)] * 3)


def test_right_mask_costs_nothing(truth: Mask, rgb: NDArray[np.uint8]) -> None:
    assert with_brush(truth, truth).seconds == 0
    assert with_scribbles(rgb, truth, None, truth).strokes == 0


def test_both_tools_reach_the_goal_and_leave_the_given_mask_alone(truth: Mask, rgb: NDArray[np.uint8]) -> None:
    missed = truth * (np.indices(truth.shape)[1] > 60).astype(np.uint8)
    before = missed.copy()
    brush, scribbles = with_brush(missed, truth), with_scribbles(rgb, missed, None, truth)
    assert min(brush.iou, scribbles.iou) >= 0.95 > iou(before, truth)
    assert brush.strokes > 0
    assert scribbles.strokes > scribbles.brushed
    np.testing.assert_array_equal(missed, before)


def test_more_errors_cost_more(truth: Mask) -> None:
    one, all_ = truth.copy(), np.zeros_like(truth)
    one[:65, :65] = 0
    assert with_brush(one, truth).seconds < with_brush(all_, truth).seconds


def test_missed_object_costs_fewer_seconds_by_scribble(truth: Mask, rgb: NDArray[np.uint8]) -> None:
    missed = truth.copy()
    missed[:65, :65] = 0
    assert with_scribbles(rgb, missed, None, truth).strokes <= with_brush(missed, truth).strokes
