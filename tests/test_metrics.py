"""Agreement of masks."""

from __future__ import annotations

import numpy as np
import pytest

from labeler import metrics


def _pair_with_iou(hit: int, union: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks that share ``hit`` of ``union`` pixels."""
    predicted, reference = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    reference.flat[:union] = True
    predicted.flat[:hit] = True
    return predicted, reference


def test_iou_and_dice_of_known_masks() -> None:
    predicted, reference = _pair_with_iou(30, 120)
    assert metrics.iou(predicted, reference) == pytest.approx(0.25)
    assert metrics.dice(predicted, reference) == pytest.approx(0.4)
    assert metrics.confusion(predicted, reference).tolist() == [30, 0, 90, 1880]


def test_two_empty_masks_agree() -> None:
    empty = np.zeros((4, 4))
    assert metrics.iou(empty, empty) == 1
    assert metrics.dice(empty, empty) == 1
    assert metrics.stepped_iou(empty, empty) == 1
    assert metrics.mean_iou(empty, empty, classes=3) == 1


def test_stepped_iou_of_an_empty_reference_is_all_or_nothing() -> None:
    empty, one = np.zeros((4, 4)), np.zeros((4, 4))
    one[0, 0] = 1
    assert metrics.stepped_iou(one, empty) == 0
    assert metrics.stepped_iou(empty, one) == 0


@pytest.mark.parametrize(
    ("hit", "union", "stepped"),
    [
        *[(44, 100, 0), (49, 100, 0), (50, 100, 0.1), (54, 100, 0.1), (55, 100, 0.2), (90, 100, 0.9), (94, 100, 0.9)],
        *[(95, 100, 1), (100, 100, 1), (19, 20, 1), (855, 900, 1)],
    ],
)
def test_stepped_iou_follows_the_article(hit: int, union: int, stepped: float) -> None:
    assert metrics.stepped_iou(*_pair_with_iou(hit, union)) == pytest.approx(stepped)


def test_batches_give_what_single_masks_give() -> None:
    rng = np.random.default_rng(0)
    predicted, reference = rng.random((2, 3, 8, 8)) > 0.5, rng.random((2, 3, 8, 8)) > 0.5
    for function in (metrics.iou, metrics.dice, metrics.stepped_iou):
        batch = function(predicted, reference)
        assert batch.shape == (2, 3)
        assert batch[1, 2] == function(predicted[1, 2], reference[1, 2])


def test_mean_iou_counts_only_classes_that_are_there() -> None:
    predicted, reference = np.zeros((4, 4), int), np.zeros((4, 4), int)
    predicted[:2], reference[:2] = 1, 1
    predicted[2, :2], reference[2] = 2, 2
    assert metrics.mean_iou(predicted, reference, classes=5) == pytest.approx((1 + 0.5) / 2)
    found = metrics.class_iou(predicted, reference, classes=3)
    assert found[0] == 1
    assert np.isnan(found[2])


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        metrics.iou(np.zeros((3, 3)), np.zeros((3, 4)))
