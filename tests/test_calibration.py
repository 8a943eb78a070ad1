"""From figures to IoU and the chance to be wrong: monotone, weighted, without pickle, silent on too few pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from labeler.calibration import FEATURES, VIEWS, Calibrator, Figures, Pair, fit_calibrator
from labeler.logistic import Logistic

BELOW = 0.8


def _figures(soft: float, **signals: float) -> Figures:
    plain = {"entropy": 0.5 * (1 - soft), "margin": soft / 2, "least_confidence": 1 - soft, "components": 2.0}
    return Figures(soft, soft, 0.1, {**plain, "largest": 0.8, "border": 0.0, **signals})


def _pairs(count: int, *, seed: int = 0, views: bool = False) -> list[Pair]:
    """The true IoU is far below what the soft IoU says, and the views know it better."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        iou = float(rng.beta(6, 2))
        soft = float(np.clip(0.5 + 0.5 * iou + rng.normal(0, 0.05), 0.01, 0.99))
        view = float(np.clip(iou + rng.normal(0, 0.02), 0.01, 0.99))
        signals = {"view_iou_mean": view, "view_iou_min": view - 0.05, "kept": view} if views else {}
        found.append(Pair(_figures(soft, **signals), iou))
    return found


def test_too_few_pairs_give_no_calibrator() -> None:
    assert fit_calibrator(_pairs(29), below=BELOW) is None
    assert fit_calibrator(_pairs(30), below=BELOW) is not None


@pytest.mark.parametrize("count", [60, 400])
def test_calibrated_iou_is_nearer_the_truth_than_the_soft_one(count: int) -> None:
    calibrator = fit_calibrator(_pairs(count), below=BELOW)
    assert calibrator is not None
    fresh = _pairs(500, seed=1)
    estimates = calibrator.estimate([pair.figures for pair in fresh])
    truth = np.array([pair.iou for pair in fresh])
    raw = np.array([pair.figures.soft_iou for pair in fresh])
    ious = np.array([estimate.iou for estimate in estimates])
    assert abs(ious.mean() - truth.mean()) < 0.02
    assert np.abs(ious - truth).mean() < 0.7 * np.abs(raw - truth).mean()
    wrong = np.array([estimate.wrong for estimate in estimates])
    assert abs(wrong.mean() - (truth < BELOW).mean()) < 0.08


@pytest.mark.parametrize("count", [60, 400])
def test_more_that_speaks_for_a_mask_never_lowers_it(count: int) -> None:
    calibrator = fit_calibrator(_pairs(count, views=True), below=BELOW)
    assert calibrator is not None
    base = {"view_iou_mean": 0.8, "view_iou_min": 0.7, "kept": 0.8}
    for name in base:
        row = [_figures(0.8, **{**base, name: value}) for value in np.linspace(0.01, 0.99, 50)]
        assert all(np.diff([estimate.iou for estimate in calibrator.estimate(row)]) >= -1e-12)
        assert all(np.diff([estimate.wrong for estimate in calibrator.estimate(row)]) <= 1e-12)


@pytest.mark.parametrize("count", [60, 400])
def test_views_are_used_where_they_are_known(count: int) -> None:
    calibrator = fit_calibrator(_pairs(count, views=True), below=BELOW)
    assert calibrator is not None
    poor = _figures(0.9, view_iou_mean=0.3, view_iou_min=0.2, kept=0.3)
    with_views, without = calibrator.estimate([poor, _figures(0.9)])
    assert with_views.iou < without.iou - 0.1
    assert with_views.wrong > without.wrong


@pytest.mark.parametrize("count", [60, 400])
def test_calibrator_survives_json_exactly(count: int) -> None:
    pairs = _pairs(count, views=True)
    calibrator = fit_calibrator(pairs, below=BELOW)
    assert calibrator is not None
    again = Calibrator.from_json(json.loads(json.dumps(calibrator.to_json(), allow_nan=False)))
    figures = [pair.figures for pair in pairs] + [_figures(0.7)]
    assert again.estimate(figures) == calibrator.estimate(figures)


def test_calibrator_from_before_its_features_had_names_is_understood() -> None:
    """Models of older projects stay calibrated: they had the first eleven figures, and two of the views."""
    known = (*list(FEATURES)[:11], *list(VIEWS)[:2])
    assert (known[0], known[10], known[12]) == ("soft_iou", "kept", "view_iou_min")
    slopes = tuple(float(place) for place in range(13))
    model = {"intercept": 0.5, "slopes": slopes, "means": (0.0,) * 13, "scales": (1.0,) * 13}
    cheap = {key: value[:11] if isinstance(value, tuple) else value for key, value in model.items()}
    old = {"format": 1, "cheap": {"iou": cheap, "right": cheap}, "full": {"iou": model, "right": model}}
    calibrator = Calibrator.from_json({**old, "empty_wrong": None, "below": 0.8, "pairs": 40})
    assert calibrator.cheap.names == known[:11]
    assert calibrator.full is not None
    assert calibrator.full.names == known
    (estimate,) = calibrator.estimate([_figures(0.7, view_iou_mean=0.6, view_iou_min=0.4, faults=9.0)])
    assert 0 <= estimate.iou <= 1
    assert Calibrator.from_json(json.loads(json.dumps(calibrator.to_json()))) == calibrator


def test_calibrator_that_asks_for_what_nobody_knows_is_refused() -> None:
    calibrator = fit_calibrator(_pairs(60), below=BELOW)
    assert calibrator is not None
    values = json.loads(json.dumps(calibrator.to_json()))
    values["cheap"]["names"][3] = "taste"
    with pytest.raises(ValueError, match="taste"):
        Calibrator.from_json(values)


def test_same_pairs_give_the_same_calibrator() -> None:
    assert fit_calibrator(_pairs(300), below=BELOW) == fit_calibrator(_pairs(300), below=BELOW)


def test_pairs_that_were_unlikely_to_be_seen_weigh_more() -> None:
    good = [Pair(_figures(0.9), 0.95, seen=1.0) for _ in range(40)]
    bad = [Pair(_figures(0.9), 0.4, seen=1.0) for _ in range(10)]
    even = fit_calibrator(good + bad, below=BELOW)
    rare = fit_calibrator(good + [replace(pair, seen=0.2) for pair in bad], below=BELOW)
    assert even is not None
    assert rare is not None
    (one,), (two,) = even.estimate([_figures(0.9)]), rare.estimate([_figures(0.9)])
    assert one.iou == pytest.approx(0.84, abs=0.01)
    assert two.iou == pytest.approx((40 * 0.95 + 50 * 0.4) / 90, abs=0.01)
    assert two.wrong > one.wrong


def test_holdout_without_a_wrong_mask_is_no_proof() -> None:
    calibrator = fit_calibrator([Pair(_figures(0.9), 0.95) for _ in range(40)], below=BELOW)
    assert calibrator is not None
    assert calibrator.estimate([_figures(0.9)])[0].wrong > 0.01


def test_empty_predictions_have_their_own_branch() -> None:
    empty = Figures(0.9, 1.0, 0.0, {})
    without = fit_calibrator(_pairs(60), below=BELOW)
    assert without is not None
    assert without.estimate([empty])[0].wrong == 1.0
    seen = fit_calibrator([*_pairs(60), *[Pair(empty, 1.0)] * 7, Pair(empty, 0.0)], below=BELOW)
    assert seen is not None
    assert seen.estimate([empty, _figures(0.9)])[0].iou == pytest.approx(0.8)


def test_damaged_values_are_refused() -> None:
    calibrator = fit_calibrator(_pairs(300), below=BELOW)
    assert calibrator is not None
    values = calibrator.to_json()
    for change in ({"format": 3}, {"cheap": {}}, {"below": None}, {"cheap": {"iou": {"trees": [[[0.0]]]}}}):
        with pytest.raises(ValueError, match=r"calibrator|tree|values"):
            Calibrator.from_json({**values, **change})


def test_tree_that_runs_in_a_circle_is_refused() -> None:
    circle = [[0.0, -1.0], [0.5, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    forest = {"start": 0.0, "share": True, "trees": [circle]}
    calibrator = fit_calibrator(_pairs(60), below=BELOW)
    assert calibrator is not None
    with pytest.raises(ValueError, match="nowhere"):
        Calibrator.from_json({**calibrator.to_json(), "cheap": {"iou": forest, "right": forest}})


def test_gate_needs_no_scikit_learn() -> None:
    code = "import sys, labeler.calibration; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_scikit_learn_costs_the_trees_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(nodes: object) -> None:
        raise ValueError("no field of name is_leaf")

    monkeypatch.setattr("labeler.forest._tree", unreadable)
    calibrator = fit_calibrator(_pairs(400), below=BELOW)
    assert calibrator is not None
    assert isinstance(calibrator.cheap.iou, Logistic)
