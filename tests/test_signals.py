"""Figures of a prediction's edge and shape."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from labeler.signals import signals_of


def disc(*, blur: float = 0.0, centre: tuple[int, int] = (32, 32), radius: int = 10) -> dict[str, float]:
    plane = cv2.circle(np.zeros((64, 64), np.uint8), centre, radius, 255, -1)
    probability = cv2.GaussianBlur(plane, (0, 0), blur) if blur else plane
    return signals_of((probability >= 128).astype(np.uint8), probability)


def test_blurred_edge_is_less_sure_than_a_sharp_one() -> None:
    sharp, soft, softer = disc(), disc(blur=1.0), disc(blur=3.0)
    assert 0 <= sharp["entropy"] < soft["entropy"] < softer["entropy"] <= 1
    assert 0.5 >= sharp["margin"] > soft["margin"] > softer["margin"] >= 0
    assert 0 <= sharp["least_confidence"] < soft["least_confidence"] < softer["least_confidence"] < 0.5


def test_shape_is_counted() -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[0:4, 0:5] = 1  # 20 pixels, 8 of them on the image's rim
    mask[10:20, 20:26] = 2  # 60 pixels, another class
    found = signals_of(mask, np.where(mask > 0, 255, 0).astype(np.uint8))
    assert found["area"] == 80
    assert found["components"] == 2
    assert found["largest"] == pytest.approx(0.75)
    assert found["border"] == pytest.approx(8 / (2 * 50 + 2 * 38))


def test_empty_mask_is_judged_around_the_pixel_most_likely_missed() -> None:
    sure = signals_of(np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8))
    probability = np.zeros((32, 32), np.uint8)
    probability[0:2, 30:32] = 120
    doubtful = signals_of(np.zeros((32, 32), np.uint8), probability)
    assert sure["area"] == sure["components"] == sure["largest"] == sure["border"] == 0
    assert sure["entropy"] < 0.03 < 0.3 < doubtful["entropy"]
    assert sure["least_confidence"] < 0.01
    assert doubtful["least_confidence"] == pytest.approx(120.5 / 256)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (7, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_every_figure_is_finite_at_any_size(shape: tuple[int, int], level: int) -> None:
    probability = np.full(shape, level, np.uint8)
    found = signals_of((probability >= 128).astype(np.uint8), probability)
    assert all(np.isfinite(value) and value >= 0 for value in found.values())
    assert found["border"] == (1.0 if level and min(shape) <= 2 else found["border"])
