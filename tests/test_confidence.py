"""Predicted IoU without a reference mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labeler.confidence import predictions_of, soft_iou, stability


def test_soft_iou_is_the_expected_overlap() -> None:
    probability = torch.tensor([[[0.9, 0.6], [0.3, 0.1]]])
    mask = (probability > 0.5).to(torch.uint8)
    expected = (0.9 + 0.6) / (2 + 0.3 + 0.1)
    assert soft_iou(mask, probability.unsqueeze(1)).item() == pytest.approx(expected)


def test_stability_compares_two_cuts() -> None:
    margin = torch.tensor([[[3.0, 0.5, -0.5, -3.0]]])
    assert stability(margin).item() == pytest.approx(1 / 3)


def test_sure_prediction_has_high_confidence_and_unsure_one_low() -> None:
    logits = torch.full((2, 1, 16, 16), -8.0)
    logits[0, 0, 4:9, 4:9] = 8.0
    logits[1, 0, 4:9, 4:9] = 0.2
    sure, unsure = predictions_of(logits)
    assert sure.confidence > 0.99
    assert unsure.confidence < 0.7
    assert sure.stability == 1
    assert unsure.stability == 0
    assert sure.foreground == pytest.approx(25 / 256)


def test_empty_prediction_is_judged_by_the_pixel_it_may_have_missed() -> None:
    logits = torch.full((2, 1, 8, 8), -10.0)
    logits[1, 0, 3, 3] = -0.1
    surely_empty, doubtful = predictions_of(logits)
    assert surely_empty.mask.sum() == doubtful.mask.sum() == 0
    assert surely_empty.confidence > 0.99
    assert doubtful.confidence == pytest.approx(1 - torch.sigmoid(torch.tensor(-0.1)).item(), abs=1e-6)
    assert np.isfinite([surely_empty.stability, doubtful.stability]).all()


@pytest.mark.parametrize("channels", [1, 4])
def test_mask_is_exactly_where_the_stored_probability_is_at_least_128(channels: int) -> None:
    torch.manual_seed(1)
    for prediction in predictions_of(torch.randn(3, channels, 32, 32)):
        assert np.array_equal(prediction.mask > 0, prediction.probability >= 128)
        assert prediction.mask.dtype == prediction.probability.dtype == np.uint8


def test_several_classes_are_predicted_by_the_largest_probability() -> None:
    logits = torch.zeros(1, 3, 4, 4)
    logits[0, 0] = 1.0
    logits[0, 2, :2] = 9.0
    (prediction,) = predictions_of(logits)
    assert (prediction.mask[:2] == 2).all()
    assert (prediction.mask[2:] == 0).all()
    assert 0 < prediction.confidence < 1
