"""Figures of a prediction's edge and shape."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from labeler.signals import signals_of, unexplained


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


def test_outline_and_sureness_are_shares_of_the_mask() -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[10:20, 20:30] = 1
    found = signals_of(mask, np.where(mask > 0, 255, 0).astype(np.uint8))
    assert found["thin"] == pytest.approx(36 / 100)
    assert found["sure"] == 1.0
    half = signals_of(mask, np.where(mask > 0, 192, 64).astype(np.uint8))
    assert half["sure"] == 0.0
    assert half["faults"] == pytest.approx((100 * (1 - 192.5 / 256) + 1900 * 64.5 / 256) / 100)


def test_small_doubtful_component_counts_like_a_large_sure_one() -> None:
    mask, probability = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    mask[0:20, 0:20], probability[0:20, 0:20] = 1, 255
    mask[30:32, 30:32], probability[30:32, 30:32] = 1, 140
    found = signals_of(mask, probability)
    assert found["parts"] == pytest.approx((255.5 + 140.5) / 2 / 256)
    assert found["least_confidence"] < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mask_drawn_by_brightness_explains_the_image(dtype: type) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[10:30, 10:30] = 1
    noise = np.random.default_rng(0).normal(0, 8, (40, 50, 3))
    image = np.clip(100 * mask[..., None] + 60 + noise, 0, 255).astype(dtype)
    assert unexplained(mask, image) < 0.05
    assert unexplained(np.roll(mask, 20, axis=1), image) > 0.8
    assert unexplained(mask, image[..., 0]) < 0.05
    assert unexplained(np.zeros_like(mask), image) == unexplained(np.ones_like(mask), image) == 1.0
    assert unexplained(mask, np.full((40, 50), 7, dtype)) == 1.0


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
